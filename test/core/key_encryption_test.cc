#include "core/key_encryption.h"

#include <doctest/doctest.h>

#include "test/core/crypto_fixture.h"

using namespace ctrlexec;
using namespace ctrlexec::test;

TEST_CASE("an encrypted key comes back with its passphrase, and with no other") {
    const PrivateKey key = key_from("keys/p256-pkcs8.pem");
    const std::string pem = encrypt_key(key, "correct horse");
    CHECK(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    CHECK(is_encrypted_key(pem));
    const auto back = decrypt_key(pem, "correct horse", "backup.pem");
    REQUIRE(back);
    CHECK(back->spki_der() == key.spki_der());
    for (const std::string_view wrong : {"correct horsf", "", "correct horse "}) {
        const auto refused = decrypt_key(pem, wrong, "backup.pem");
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == Errc::denied);
        CHECK(refused.error().message.starts_with("backup.pem: wrong passphrase"));
    }
}

TEST_CASE("the same key and passphrase never give the same text") {
    const PrivateKey key = key_from("keys/p256-pkcs8.pem");
    CHECK(encrypt_key(key, "passphrase") != encrypt_key(key, "passphrase"));
}

TEST_CASE("text that is no encrypted key, or a cut one, is refused by name") {
    const std::string plain = data("keys/p256-pkcs8.pem");
    CHECK_FALSE(is_encrypted_key(plain));
    CHECK(decrypt_key(plain, "x", "plain.pem").error().code == Errc::crypto);
    CHECK(decrypt_key("", "x", "empty.pem").error().code == Errc::crypto);
    const std::string label = "ENCRYPTED PRIVATE KEY";
    const std::string empty = "-----BEGIN " + label + "-----\nMAA=\n-----END " + label + "-----\n";
    CHECK_FALSE(decrypt_key(empty, "x", "short.pem"));
}
