#include "core/join_token_file.h"

#include <fmt/format.h>

#include "core/certificate.h"
#include "core/config_file.h"
#include "core/digest.h"
#include "core/dispatcher_setup.h"
#include "core/duration.h"
#include "core/file.h"
#include "core/pairing_proof.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::int64_t default_ttl = 30 * 86400;
constexpr int default_uses = 10'000;
constexpr std::size_t max_bytes = 4096;

Error bad_variable(const char* name, const std::string& what) {
    return fail(Errc::config, fmt::format("environment {}: {}", name, what));
}

Error bad_file(const Error& why) {
    return fail(Errc::config, "JOIN_TOKEN_FILE: " + why.message, why.detail);
}

bool is_of_this_ca(const JoinToken& token, const Certificate& authority) {
    return token.pin.digest == digest_of(authority.spki_der());
}

// Nothing when it is not known here.
Result<std::optional<JoinTokenRecord>> record_of(const JoinToken& token, const DispatcherConfig& config) {
    const JoinTokens tokens(config);
    auto record = tokens.find(token.kid);
    if (!record && record.error().code != Errc::not_found) return record.error();
    if (!record || !equal_constant_time(record->key, join_key(token.secret, token.pin.digest)))
        return std::optional<JoinTokenRecord>();
    TRY(record->used, tokens.used(token.kid));
    return std::optional<JoinTokenRecord>(std::move(*record));
}

// Why agents could not join with it; "" when they can.
Result<std::string> defect_of(const JoinToken& token, const DispatcherConfig& config, std::int64_t now) {
    TRY(const Certificate authority, Certificate::from_file(config.ca_dir + "/ca.crt"));
    if (!is_of_this_ca(token, authority)) return std::string("is of another CA");
    TRY(const auto record, record_of(token, config));
    if (!record) return std::string("is not known here");
    return record->is_usable(now) ? std::string() : fmt::format("is {}", record->state(now));
}

bool is_near_its_end(const JoinTokenRecord& record, std::int64_t now) {
    return record.expires - now <= (record.expires - record.created) / 10 ||
           record.terms.uses - record.used <= record.terms.uses / 10;
}

}  // namespace

Result<std::optional<JoinTokenFile>> JoinTokenFile::from(const Variables& variables) {
    JoinTokenFile file;
    file.path = variables("JOIN_TOKEN_FILE");
    if (file.path.empty()) return std::optional<JoinTokenFile>();
    file.terms.ttl = default_ttl;
    file.terms.uses = default_uses;
    file.terms.hosts = variables("JOIN_TOKEN_HOSTS");
    file.terms.from = variables("JOIN_TOKEN_FROM");
    if (const std::string text = variables("JOIN_TOKEN_TTL"); !text.empty()) {
        const auto ttl =
            parse_duration(text, std::chrono::seconds(min_join_ttl), std::chrono::seconds(max_join_ttl));
        if (!ttl) return bad_variable("JOIN_TOKEN_TTL", ttl.error().message);
        file.terms.ttl = ttl->count() / 1000;
    }
    if (const std::string text = variables("JOIN_TOKEN_USES"); !text.empty()) {
        std::int64_t uses = 0;
        if (!parse_integer(text, 1, max_join_uses, uses))
            return bad_variable("JOIN_TOKEN_USES", fmt::format("must be 1 to {}, not '{}'", max_join_uses,
                                                               printable(text.substr(0, 60))));
        file.terms.uses = static_cast<int>(uses);
    }
    const std::string replace = variables("JOIN_TOKEN_REPLACE");
    if (replace != "" && replace != "yes" && replace != "no")
        return bad_variable("JOIN_TOKEN_REPLACE",
                            fmt::format("must be yes or no, not '{}'", printable(replace.substr(0, 60))));
    file.terms.replace = replace == "yes";
    return std::optional<JoinTokenFile>(std::move(file));
}

Result<std::optional<JoinToken>> JoinTokenFile::read() const {
    const auto text = read_file(path, max_bytes);
    if (!text && text.error().code == Errc::not_found) return std::optional<JoinToken>();
    if (!text) return bad_file(text.error());
    auto token = JoinToken::parse(*text);
    if (token) return std::optional<JoinToken>(std::move(*token));
    return fail(Errc::config, fmt::format("JOIN_TOKEN_FILE: {} holds no join token, and is not overwritten; "
                                          "remove it, or name another file",
                                          path));
}

Result<JoinToken> JoinTokenFile::replace(const DispatcherConfig& config, std::int64_t now) const {
    const JoinTokens tokens(config);
    auto token = tokens.create(terms, now);
    if (!token && token.error().code == Errc::usage)
        return bad_variable("JOIN_TOKEN_…", token.error().message);
    if (!token) return token.error();
    // An owner and a group that somebody has given to the file stay.
    if (const auto written = replace_file_atomic(path, token->text() + "\n", 0640); !written) {
        (void)tokens.discard(token->kid);
        return bad_file(written.error());
    }
    return token;
}

Result<std::string> JoinTokenFile::keep(const DispatcherConfig& config, std::int64_t now) const {
    TRY(const FileLock held, lock_setup(config));  // of two that start at once the second finds the first's
    TRY(const auto found, read());
    std::string before;
    if (found) {
        TRY(const std::string defect, defect_of(*found, config, now));
        if (defect.empty()) return std::string();
        before = fmt::format("; the token {} that was there {}", found->kid, defect);
    }
    TRY(const JoinToken token, replace(config, now));
    return fmt::format("Join token {} written to {}: {} uses, valid until {}{}.", token.kid, path, terms.uses,
                       iso8601(now + terms.ttl), before);
}

Result<bool> JoinTokenFile::renew(const DispatcherConfig& config, std::int64_t now) const {
    TRY(const FileLock held, lock_setup(config));
    TRY(const auto found, read());
    if (!found) return false;
    TRY(const Certificate authority, Certificate::from_file(config.ca_dir + "/ca.crt"));
    if (!is_of_this_ca(*found, authority)) return false;
    TRY(const auto record, record_of(*found, config));
    if (!record || record->revoked != 0 || !is_near_its_end(*record, now)) return false;
    TRY_DO(replace(config, now));
    return true;
}

}  // namespace ctrlexec
