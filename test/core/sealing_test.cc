#include "core/sealing.h"

#include <doctest/doctest.h>

#include <string>

using namespace ctrlexec;

TEST_CASE("what is sealed opens with the same key as the same thing only") {
    const SealingKey key("secret", "salt", "test");
    const std::string sealed = key.seal("plain text", "a");
    CHECK(sealed.size() == 10 + SealingKey::overhead);
    CHECK(sealed.find("plain") == std::string::npos);
    CHECK(key.open(sealed, "a") == "plain text");
    CHECK_FALSE(key.open(sealed, "b"));
    CHECK(SealingKey("secret", "salt", "test").open(sealed, "a") == "plain text");
    CHECK_FALSE(SealingKey("secreT", "salt", "test").open(sealed, "a"));
    CHECK_FALSE(SealingKey("secret", "salT", "test").open(sealed, "a"));
    CHECK_FALSE(SealingKey("secret", "salt", "tesT").open(sealed, "a"));
    CHECK(key.seal("plain text", "a") != sealed);  // another nonce
}

TEST_CASE("what was changed or cut does not open") {
    const SealingKey key("secret", "salt", "test");
    const std::string sealed = key.seal("plain text", "a");
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        std::string changed = sealed;
        changed[i] = static_cast<char>(changed[i] ^ 1);
        CHECK_FALSE(key.open(changed, "a"));
        CHECK_FALSE(key.open(std::string_view(sealed).substr(0, i), "a"));
    }
    CHECK_FALSE(key.open(sealed + "x", "a"));
    CHECK(key.open(key.seal("", ""), "") == "");
}
