#include "core/proof_sources.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "test/scoped_variable.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

const std::string digits(64, 'a');
const std::string pin = "sha256:" + digits;
const std::string other = "sha256:" + std::string(64, 'b');

std::string token_text() {
    return JoinToken{"0123456789abcdef", std::string(join_secret_bytes, 's'), *CaPin::parse(pin)}.text();
}

Result<PairingProofs> proofs_of(const std::string& pins, const std::string& file,
                                PairTrust trust = PairTrust::tofu) {
    TRY(const ProofSources sources, ProofSources::read(pins, file, trust));
    return sources.proofs();
}

}  // namespace

TEST_CASE("pins come from the option, else from the variable or its file") {
    const TempDir dir;
    const ScopedVariable none("CTRL_EXEC_CA_PIN", nullptr), no_file("CTRL_EXEC_CA_PIN_FILE", nullptr);
    CHECK(proofs_of("", "")->pins.empty());
    {
        const ScopedVariable value("CTRL_EXEC_CA_PIN", other + ", " + pin);
        CHECK(proofs_of("", "")->pins.size() == 2);
        CHECK(proofs_of(pin, "")->pins.size() == 1);
        const ScopedVariable file("CTRL_EXEC_CA_PIN_FILE", dir / "missing");
        CHECK(proofs_of("", "").error().code == Errc::config);
    }
    const ScopedVariable file("CTRL_EXEC_CA_PIN_FILE", dir.put("pins", other + "\n" + pin + "\n"));
    CHECK(proofs_of("", "")->pins.size() == 2);
    CHECK(proofs_of("sha256:12", "").error().code == Errc::usage);
}

TEST_CASE("a token's pin is the only one that counts, and must be among those given") {
    const TempDir dir;
    const std::string file = dir.put("token", token_text() + "\n", 0600);
    const auto proofs = proofs_of(other + "," + pin, file);
    REQUIRE(proofs);
    REQUIRE(proofs->pins.size() == 1);
    CHECK(proofs->pins[0].text() == pin);
    CHECK(mentions(proofs_of(other, file).error().text(), "another pin"));
    CHECK(proofs_of("", dir / "missing").error().code == Errc::not_found);
    CHECK(proofs_of("", dir.put("empty", "")).error().code == Errc::config);
}

TEST_CASE("a token in the environment is gone from it once it was read") {
    const ScopedVariable none("JOIN_TOKEN_FILE", nullptr);
    const ScopedVariable value("JOIN_TOKEN", token_text());
    const char* const text = std::getenv("JOIN_TOKEN");
    const auto sources = ProofSources::read("", "", PairTrust::token);
    REQUIRE(sources);
    CHECK(std::getenv("JOIN_TOKEN") == nullptr);
    CHECK(std::string(text).find_first_not_of('x') == std::string::npos);
    CHECK(sources->proofs()->token->text() == token_text());
}

TEST_CASE("what pair_trust wants must be there before anybody is asked") {
    const TempDir dir;
    const ScopedVariable none("JOIN_TOKEN", nullptr), no_file("JOIN_TOKEN_FILE", nullptr),
        no_pin("CTRL_EXEC_CA_PIN", nullptr), no_pins("CTRL_EXEC_CA_PIN_FILE", nullptr);
    const std::string file = dir.put("token", token_text(), 0600);
    CHECK(proofs_of("", "", PairTrust::sas)->check_code);
    CHECK(proofs_of("", "", PairTrust::pin).error().code == Errc::config);
    CHECK(proofs_of("", "", PairTrust::token).error().code == Errc::config);
    CHECK(proofs_of(pin, "", PairTrust::token).error().code == Errc::config);
    CHECK(proofs_of(pin, "", PairTrust::pin));
    CHECK(proofs_of("", file, PairTrust::pin));
    CHECK(proofs_of("", file, PairTrust::token));
}
