#include "core/key.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>

#include "test/core/crypto_fixture.h"

using namespace ctrlexec;
using namespace ctrlexec::test;

namespace {

bool mentions(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

std::string error_of(const std::string& pem) {
    const auto key = PrivateKey::from_pem(pem, "some/key.pem");
    REQUIRE_FALSE(key);
    CHECK(mentions(key.error().message, "some/key.pem"));
    return key.error().message;
}

}  // namespace

TEST_CASE("every accepted kind and encoding of a key is read, and written as PKCS#8") {
    for (const std::string name :
         {"p256-pkcs8", "p256-sec1", "p256-sec1-with-parameters", "p256-explicit-parameters", "ed25519",
          "rsa-2048", "rsa-2048-pkcs1", "rsa-8192"}) {
        CAPTURE(name);
        const auto key = PrivateKey::from_pem(data("keys/" + name + ".pem"), name);
        REQUIRE(key);
        const std::string pem = key->to_pem();
        CHECK(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        CHECK(pem.ends_with("-----END PRIVATE KEY-----\n"));
        const auto again = PrivateKey::from_pem(pem, name);
        REQUIRE(again);
        CHECK(again->spki_der() == key->spki_der());
        CHECK(again->to_pem() == pem);
    }
}

TEST_CASE("the encodings of one key give the same key") {
    const std::string ec = key_from("keys/p256-pkcs8.pem").spki_der();
    CHECK(key_from("keys/p256-sec1.pem").spki_der() == ec);
    CHECK(key_from("keys/p256-sec1-with-parameters.pem").spki_der() == ec);
    CHECK(key_from("keys/rsa-2048.pem").spki_der() == key_from("keys/rsa-2048-pkcs1.pem").spki_der());
}

TEST_CASE("P-256 spelled out as explicit parameters is written back as the named curve") {
    const PrivateKey key = key_from("keys/p256-explicit-parameters.pem");
    CHECK(key.spki_der() == key_from("keys/p256-pkcs8.pem").spki_der());
    CHECK(key.to_pem().size() < data("keys/p256-explicit-parameters.pem").size());
}

TEST_CASE("the real key of an old deployment is read") {
    CHECK(certificate_from("old/agent.crt").holds_key_of(key_from("old/agent.key")));
    CHECK(certificate_from("old/ca.crt").holds_key_of(key_from("old/ca.key")));
}

TEST_CASE("weak, unusual and foreign keys are refused, and the reason says what is accepted") {
    const struct {
        std::string file;
        const char* reason;
    } rows[] = {
        {"rsa-1024.pem", "RSA key of 1024 bits; EC P-256, Ed25519 and RSA of 2048 to 8192 bits are accepted"},
        {"rsa-8200.pem", "RSA key of 8200 bits"},
        {"p384.pem", "another curve than P-256"},
        {"secp256k1.pem", "not a usable private key"},
        {"x25519.pem", "unknown kind"},
        {"rsa-pss-2048.pem", "not a usable private key"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.file);
        const std::string message = error_of(data("keys/" + row.file));
        CHECK_MESSAGE(mentions(message, row.reason), message);
    }
}

TEST_CASE("an encrypted key is refused with the way to decrypt it, and nobody is asked for a passphrase") {
    for (const std::string file : {"keys/encrypted-pkcs8.pem", "keys/encrypted-pkcs1.pem"}) {
        CAPTURE(file);
        const std::string message = error_of(data(file));
        CHECK(mentions(message, "encrypted"));
        CHECK(mentions(message, "openssl pkey -in some/key.pem"));
    }
}

TEST_CASE("text that is not exactly one private key is refused") {
    const std::string good = data("keys/p256-pkcs8.pem");
    const std::string der = from_pem(good);
    const struct {
        std::string what;
        std::string pem;
        const char* reason;
    } rows[] = {
        {"nothing", "", "empty"},
        {"text", "hello\n", "not PEM"},
        {"DER", der, "not PEM"},
        {"a certificate", data("old/ca.crt"), "holds a CERTIFICATE, not a PRIVATE KEY"},
        {"two keys", good + good, "more than one"},
        {"a key and a certificate", good + data("old/ca.crt"), "more than one"},
        {"trailing text", good + "x", "after the end"},
        {"a NUL", good + std::string(1, '\0'), "not PEM"},
        {"a NUL inside", good.substr(0, 60) + std::string(1, '\0') + good.substr(60), "not PEM"},
        {"cut off", good.substr(0, good.size() / 2), "broken PEM"},
        {"only a first line", "-----BEGIN PRIVATE KEY-----\n", "broken PEM"},
        {"no content", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "broken PEM"},
        {"not base64", "-----BEGIN PRIVATE KEY-----\n*!*!\n-----END PRIVATE KEY-----\n", "broken PEM"},
        {"DER cut off", to_pem("PRIVATE KEY", der.substr(0, der.size() - 1)), "not a usable private key"},
        {"DER with more", to_pem("PRIVATE KEY", der + '\0'), "not a usable private key"},
        {"the wrong label", to_pem("EC PRIVATE KEY", der), "not a usable private key"},
        {"the wrong label", to_pem("RSA PRIVATE KEY", der), "not a usable private key"},
        {"a label with escape codes", to_pem("\x1b[2J", der), "holds a \\x1b[2J"},
        {"parameters alone", "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
         "broken PEM"},
        {"too much", good + std::string(64 * 1024, '\n'), "larger than 65536 bytes"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.what);
        const std::string message = error_of(row.pem);
        CHECK_MESSAGE(mentions(message, row.reason), message);
    }
    CHECK(PrivateKey::from_pem("Key of web-01\n" + good + " \r\n\n", "x"));
    CHECK(PrivateKey::from_pem(good + std::string(64 * 1024 - good.size(), '\n'), "x"));
}

TEST_CASE("a private key that does not fit its public half is refused") {
    const std::string der = from_pem(data("keys/p256-pkcs8.pem"));
    std::string changed = der;
    changed.back() = static_cast<char>(changed.back() ^ 1);  // the last byte of the public point
    CHECK(mentions(error_of(to_pem("PRIVATE KEY", changed)), "not a usable private key"));
}

TEST_CASE("no prefix and no changed byte of a key crashes the reader") {
    const std::string der = from_pem(data("keys/p256-pkcs8.pem"));
    for (std::size_t i = 1; i < der.size(); ++i) {
        CHECK_FALSE(PrivateKey::from_pem(to_pem("PRIVATE KEY", der.substr(0, i)), "x"));
        std::string changed = der;
        changed[i] = static_cast<char>(~changed[i]);
        if (const auto key = PrivateKey::from_pem(to_pem("PRIVATE KEY", changed), "x"))
            CHECK_FALSE(key->to_pem().empty());
    }
}

TEST_CASE("a key file that others may access is refused with the remedy") {
    const TempDir dir;
    const std::string path = dir.file("agent.key");
    for (const mode_t mode : {0644u, 0604u, 0602u, 0601u, 0666u}) {
        dir.put("agent.key", data("keys/p256-pkcs8.pem"), mode);
        const auto key = PrivateKey::from_file(path);
        REQUIRE_FALSE(key);
        CHECK(mentions(key.error().message, "chmod 600 " + path));
    }
    for (const mode_t mode : {0600u, 0640u, 0400u, 0660u}) {
        dir.put("agent.key", data("keys/p256-pkcs8.pem"), mode);
        CHECK(PrivateKey::from_file(path));
    }
}

TEST_CASE("a key among the container's secrets may be read by everybody, but not written") {
    const TempDir dir;
    const std::string pem = data("keys/p256-pkcs8.pem");
    REQUIRE(::mkdir(dir.file("secrets").c_str(), 0755) == 0);
    REQUIRE(::mkdir(dir.file("secrets/deep").c_str(), 0755) == 0);
    REQUIRE(::mkdir(dir.file("secrets-too").c_str(), 0755) == 0);
    const auto load = [&](const std::string& name) {
        return PrivateKey::from_file(dir.file(name), dir.file("secrets"));
    };
    for (const mode_t mode : {0444u, 0644u, 0555u}) {
        dir.put("secrets/key", pem, mode);
        CHECK(load("secrets/key"));
    }
    CHECK_FALSE(PrivateKey::from_file(dir.file("secrets/key")));  // only the real place counts
    dir.put("secrets/deep/key", pem, 0444);
    CHECK(load("secrets/deep/key"));
    dir.put("secrets/key", pem, 0666);
    CHECK(mentions(load("secrets/key").error().message, "chmod 600"));
    dir.put("secrets-too/key", pem, 0444);
    CHECK_FALSE(load("secrets-too/key"));
    CHECK_FALSE(load("secrets/../secrets-too/key"));
    REQUIRE(::symlink(dir.file("secrets-too/key").c_str(), dir.file("secrets/out").c_str()) == 0);
    CHECK_FALSE(load("secrets/out"));
    REQUIRE(::symlink(dir.file("secrets/deep/key").c_str(), dir.file("in").c_str()) == 0);
    CHECK(load("in"));
    for (const std::string directory : {"secrets", "secrets/deep"}) {
        REQUIRE(::chmod(dir.file(directory).c_str(), 01777) == 0);
        const auto key = load("secrets/deep/key");
        REQUIRE_FALSE(key);
        CHECK(mentions(key.error().message, "run `chmod o-w " + dir.file(directory) + "`"));
        REQUIRE(::chmod(dir.file(directory).c_str(), 0755) == 0);
    }
    CHECK(load("secrets/deep/key"));
}

TEST_CASE("a key path that is no readable file is an error with the path in it") {
    const TempDir dir;
    const auto missing = PrivateKey::from_file(dir.file("none.key"));
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == Errc::not_found);
    CHECK(mentions(missing.error().message, dir.file("none.key")));
    CHECK_FALSE(PrivateKey::from_file(dir.file("")));  // a directory
    REQUIRE(::mkfifo(dir.file("fifo").c_str(), 0600) == 0);
    CHECK_FALSE(PrivateKey::from_file(dir.file("fifo")));
    dir.put("large.key", data("keys/p256-pkcs8.pem") + std::string(64 * 1024, '\n'), 0600);
    const auto large = PrivateKey::from_file(dir.file("large.key"));
    REQUIRE_FALSE(large);
    CHECK(large.error().code == Errc::too_large);
}

TEST_CASE("a generated key is new each time and of the asked kind") {
    const PrivateKey one = new_ec_key();
    const PrivateKey two = new_ec_key();
    CHECK(one.spki_der() != two.spki_der());
    CHECK(one.spki_der().size() == 91);  // an uncompressed point on a named curve of 256 bits
    const auto rsa = PrivateKey::generate(KeyType::rsa);
    REQUIRE(rsa);
    CHECK(rsa->spki_der().size() == 550);  // 4096 bits, exponent 65537
    CHECK(PrivateKey::from_pem(rsa->to_pem(), "x"));
}
