#include "core/proof_sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "core/config_environment.h"
#include "core/config_file.h"
#include "core/file.h"
#include "core/sealing.h"
#include "core/secret_variable.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_proof_file = 4096;
constexpr std::string_view separators = ", \t\r\n";

Result<std::vector<CaPin>> parse_pins(std::string_view text, const std::string& name, Errc code) {
    std::vector<CaPin> pins;
    while (!text.empty()) {
        const auto first = std::min(text.find_first_not_of(separators), text.size());
        text.remove_prefix(first);
        const auto word = text.substr(0, text.find_first_of(separators));
        text.remove_prefix(word.size());
        if (word.empty()) break;
        auto pin = CaPin::parse(word);
        if (!pin) return fail(code, fmt::format("{}: {}", name, pin.error().message));
        pins.push_back(std::move(*pin));
    }
    if (pins.empty()) return fail(code, name + " holds no pin; ctrl-exec-dispatcher ca-pin prints it");
    return pins;
}

Result<std::string> read_named(const std::string& name, const std::string& path) {
    auto text = read_file(path, max_proof_file);
    if (text) return text;
    const Errc code = text.error().code == Errc::not_found ? Errc::not_found : Errc::config;
    return fail(code, fmt::format("{}: {}", name, text.error().text()));
}

// Whoever holds the last copy wipes the secret.
Result<std::shared_ptr<const JoinToken>> parse_token(std::string text, const std::string& name) {
    auto token = JoinToken::parse(text);
    wipe(text);
    if (!token) return fail(Errc::config, fmt::format("{}: {}", name, token.error().message));
    return std::shared_ptr<const JoinToken>(new JoinToken(std::move(*token)), [](JoinToken* held) {
        wipe(held->secret);
        delete held;
    });
}

Error both_set(const std::string& variable) {
    return fail(Errc::config, fmt::format("{0} and {0}_FILE are both set; unset one of them", variable));
}

Result<std::vector<CaPin>> pins_of_environment() {
    const std::string variable = "CTRL_EXEC_CA_PIN";
    TRY(const auto text, read_variable(variable));
    TRY(const auto path, read_variable(variable + "_FILE"));
    if (text && path) return both_set(variable);
    if (text) return parse_pins(*text, "environment " + variable, Errc::config);
    if (!path) return std::vector<CaPin>();
    const std::string name = "environment " + variable + "_FILE";
    auto content = read_named(name, *path);
    if (!content) return fail(Errc::config, content.error().text());
    return parse_pins(*content, fmt::format("{} ({})", name, *path), Errc::config);
}

// ${PIN} of a compose file, where nobody has set PIN, must not become trust in whoever answers.
Result<void> check_not_blank(const char* name) {
    const char* const value = std::getenv(name);
    if (value == nullptr || !trim(value).empty()) return success();
    return fail(Errc::config,
                fmt::format("environment {0}: is empty; give it a value, or do not set it", name));
}

Result<void> check_policy(PairTrust trust, bool pin, bool token) {
    if (trust == PairTrust::token && !token) {
        return fail(Errc::config,
                    "pair_trust = token, but there is no join token; set JOIN_TOKEN_FILE or give "
                    "--join-token-file (ctrl-exec-dispatcher join-token create makes one)");
    }
    if (trust == PairTrust::pin && !pin && !token) {
        return fail(Errc::config,
                    "pair_trust = pin, but there is no pin; give --ca-pin or set CTRL_EXEC_CA_PIN "
                    "(ctrl-exec-dispatcher ca-pin prints it)");
    }
    return success();
}

}  // namespace

Result<ProofSources> ProofSources::read(const std::string& pins, const std::string& token_file,
                                        PairTrust trust) {
    ProofSources sources;
    for (const char* name : {"JOIN_TOKEN", "JOIN_TOKEN_FILE", "CTRL_EXEC_CA_PIN", "CTRL_EXEC_CA_PIN_FILE"})
        TRY_DO(check_not_blank(name));
    std::string token = take_variable("JOIN_TOKEN");
    if (!pins.empty()) {
        TRY(sources.pins_, parse_pins(pins, "--ca-pin", Errc::usage));
    } else {
        TRY(sources.pins_, pins_of_environment());
    }
    sources.check_code_ = trust == PairTrust::sas;
    if (!token_file.empty()) {
        wipe(token);
        sources.token_file_ = token_file;
        sources.token_name_ = "--join-token-file";
    } else {
        TRY(const auto path, read_variable("JOIN_TOKEN_FILE"));
        if (path && !token.empty()) {
            wipe(token);
            return both_set("JOIN_TOKEN");
        }
        sources.token_file_ = path.value_or("");
        sources.token_name_ = path ? "environment JOIN_TOKEN_FILE" : "environment JOIN_TOKEN";
        if (!token.empty()) {
            TRY(sources.token_, parse_token(std::move(token), sources.token_name_));
        }
    }
    const bool has_token = sources.token_ != nullptr || !sources.token_file_.empty();
    TRY_DO(check_policy(trust, !sources.pins_.empty(), has_token));
    return sources;
}

Result<PairingProofs> ProofSources::proofs() const {
    PairingProofs proofs;
    proofs.pins = pins_;
    proofs.token = token_;
    proofs.check_code = check_code_;
    if (!token_file_.empty()) {
        TRY(std::string text, read_named(token_name_, token_file_));
        TRY(proofs.token, parse_token(std::move(text), fmt::format("{} ({})", token_name_, token_file_)));
    }
    if (!proofs.token) return proofs;
    const CaPin& pin = proofs.token->pin;
    if (!pins_.empty() && std::find(pins_.begin(), pins_.end(), pin) == pins_.end()) {
        return fail(Errc::config, fmt::format("{}: the join token is of a CA with another pin ({}) than the "
                                              "one given beside it; leave one of them out",
                                              token_name_, pin.text()));
    }
    proofs.pins.assign(1, pin);
    return proofs;
}

}  // namespace ctrlexec
