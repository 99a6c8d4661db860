#include "core/csr.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "test/core/crypto_fixture.h"

using namespace ctrlexec;
using namespace ctrlexec::test;

namespace {

bool mentions(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

Error error_of(const std::string& pem) {
    const auto request = CertificateRequest::from_pem(pem);
    REQUIRE_FALSE(request);
    return request.error();
}

}  // namespace

TEST_CASE("the request of a real old agent is read, and its pairing code is the one both sides showed") {
    const std::string pem = data("old/pairing-request.csr");
    CHECK(pairing_code(pem) == "056284");
    const auto request = CertificateRequest::from_pem(pem);
    REQUIRE(request);
    CHECK(request->common_name() == "agent1");
    CHECK(request->to_pem() == pem);
}

TEST_CASE("the pairing code is made of the exact text, zero-padded to six digits") {
    CHECK(pairing_code("") == "012610");  // SHA-256 e3b0c442…, which is 3820012610
    const std::string pem = data("old/pairing-request.csr");
    CHECK(pairing_code(pem.substr(0, pem.size() - 1)) != "056284");
    CHECK(pairing_code(pem).size() == 6);
}

TEST_CASE("a request made with any kind of key is read back with its name and key") {
    for (const auto& subject : one_key_of_each_kind()) {
        const PrivateKey& key = subject.key;
        CAPTURE(subject.kind);
        const auto made = CertificateRequest::create(key, "web-01.example.org");
        REQUIRE(made);
        const std::string pem = made->to_pem();
        CHECK(pem.starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"));
        CHECK(pem.size() < max_csr_bytes);
        const auto read = CertificateRequest::from_pem(pem);
        REQUIRE(read);
        CHECK(read->common_name() == "web-01.example.org");
        CHECK(read->spki_der() == key.spki_der());
        CHECK(read->to_pem() == pem);
    }
}

TEST_CASE("a request with the largest accepted key stays under the size limit") {
    const auto made = CertificateRequest::create(key_from("keys/rsa-8192.pem"), std::string(64, 'a'));
    REQUIRE(made);
    CHECK(CertificateRequest::from_pem(made->to_pem()));
}

TEST_CASE("a request is not made for a name that no certificate can carry") {
    const PrivateKey key = new_ec_key();
    using namespace std::string_literals;
    for (const std::string& name :
         {""s, std::string(65, 'a'), "a\0b"s, "a\nb"s, "\x1b[2J"s, "\x7f"s, "\xff"s, "\xc2\x9b"s}) {
        CAPTURE(name);
        const auto made = CertificateRequest::create(key, name);
        REQUIRE_FALSE(made);
        CHECK(made.error().code == Errc::bad_request);
    }
    CHECK(CertificateRequest::create(key, std::string(64, 'a')));
    CHECK(CertificateRequest::create(key,
                                     "b\xc3\xbc"
                                     "cher"));
}

TEST_CASE("a request whose name two readers may understand differently is refused") {
    const PrivateKey key = new_ec_key();
    using namespace std::string_literals;
    for (const auto& names : {std::vector{"web-01\0.example.org"s}, std::vector{"web\n01"s},
                              std::vector{"web\x1b[2J"s}, std::vector{"web-01"s, "web-02"s}}) {
        CAPTURE(names.front());
        const Error error = error_of(make_request(names, key));
        CHECK(error.code == Errc::bad_request);
        CHECK_MESSAGE(mentions(error.message, "ambiguous"), error.message);
    }
    const auto unnamed = CertificateRequest::from_pem(make_request({}, key));
    REQUIRE(unnamed);
    CHECK(unnamed->common_name() == "");
}

TEST_CASE("a request with a weak or unusual key is refused") {
    CHECK(mentions(error_of(data("keys/rsa-1024.csr")).message, "RSA key of 1024 bits"));
    CHECK(mentions(error_of(data("keys/p384.csr")).message, "another curve than P-256"));
    CHECK(mentions(error_of(data("keys/p256-explicit-parameters.csr")).message, "unknown kind"));
}

TEST_CASE("a request is refused after any change, so also when somebody else's key was put in") {
    for (const auto& subject : one_key_of_each_kind()) {
        const PrivateKey& key = subject.key;
        CAPTURE(subject.kind);
        const auto made = CertificateRequest::create(key, "web-01");
        REQUIRE(made);
        const std::string der = from_pem(made->to_pem());
        const std::string spki = key.spki_der();
        std::string swapped = der;
        if (subject.kind == "EC P-256") {
            swapped.replace(swapped.find(spki), spki.size(), new_ec_key().spki_der());
            const Error error = error_of(to_pem("CERTIFICATE REQUEST", swapped));
            CHECK(mentions(error.message, "its signature is not of the key it holds"));
        }
        for (std::size_t i = 0; i < der.size(); ++i) {
            std::string changed = der;
            changed[i] = static_cast<char>(changed[i] ^ 1);
            CAPTURE(i);
            CHECK(error_of(to_pem("CERTIFICATE REQUEST", changed)).code == Errc::bad_request);
        }
    }
}

TEST_CASE("hostile text in place of a request is an error of the peer") {
    const PrivateKey key = new_ec_key();
    const std::string good = make_request({"web-01"}, key);
    const std::string der = from_pem(good);
    const std::string rows[] = {
        "",
        "hello",
        std::string(1000, '\0'),
        "-----BEGIN CERTIFICATE REQUEST-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n",
        good + good,
        good + "x",
        good.substr(0, good.size() - 30),
        data("old/agent.crt"),
        data("keys/p256-pkcs8.pem"),
        to_pem("CERTIFICATE", der),
        to_pem("CERTIFICATE REQUEST", der + "x"),
        to_pem("CERTIFICATE REQUEST", der.substr(1)),
        to_pem("CERTIFICATE REQUEST", std::string("\x30\x84\xff\xff\xff\xff", 6)),
        to_pem("CERTIFICATE REQUEST", std::string(3000, '\x30')),
    };
    for (const std::string& text : rows) {
        CAPTURE(text);
        CHECK(error_of(text).code == Errc::bad_request);
    }
    for (std::size_t i = 1; i < der.size(); ++i) {
        CHECK_FALSE(CertificateRequest::from_pem(to_pem("CERTIFICATE REQUEST", der.substr(0, i))));
    }
    CHECK(CertificateRequest::from_pem(to_pem("NEW CERTIFICATE REQUEST", der)));
}

TEST_CASE("a request over 10,240 bytes is refused before it is looked at") {
    const std::string good = make_request({"web-01"}, new_ec_key());
    CHECK(CertificateRequest::from_pem(good + std::string(max_csr_bytes - good.size(), '\n')));
    CHECK(error_of(good + std::string(max_csr_bytes - good.size() + 1, '\n')).code == Errc::too_large);
}
