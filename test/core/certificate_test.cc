#include "core/certificate.h"

#include <doctest/doctest.h>

#include <string>

#include "core/timestamp.h"
#include "test/core/crypto_fixture.h"

using namespace ctrlexec;
using namespace ctrlexec::test;

namespace {

bool mentions(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

// What verify() says, "" when it accepts.
std::string verdict(const Certificate& certificate, const Certificate& authority, std::int64_t now) {
    const auto result = certificate.verify(authority, now);
    if (result) return "";
    CHECK(result.error().code == Errc::crypto);
    return result.error().message;
}

struct TestCa {
    PrivateKey key = new_ec_key();
    Certificate certificate = make_ca(key);
    Certificate leaf(const Recipe& recipe, const PrivateKey& leaf_key) const {
        return make_certificate(recipe, leaf_key, "Test CA", key);
    }
};

Recipe with(std::vector<std::pair<int, std::string>> extensions) {
    Recipe recipe;
    recipe.extensions = std::move(extensions);
    return recipe;
}

constexpr std::int64_t old_start = 1795351026;  // 2026-11-22T12:37:06Z, when the old agent was paired

}  // namespace

TEST_CASE("the facts of a real old certificate are read") {
    const Certificate agent = certificate_from("old/agent.crt");
    CHECK(agent.common_name() == "agent1");
    CHECK(agent.serial() == "03");
    CHECK(agent.not_before() == old_start);
    CHECK(iso8601(agent.not_after()) == "2029-02-24T12:37:06Z");
    CHECK(agent.expiry_text() == "Feb 24 12:37:06 2029 GMT");
    CHECK(agent.to_pem() == data("old/agent.crt"));
    CHECK(agent.der() == from_pem(data("old/agent.crt")));
    CHECK(certificate_from("old/ctrl-exec.crt").serial() == "02");
    CHECK(certificate_from("old/ctrl-exec.crt").common_name() == "ctrl-exec");
    CHECK(certificate_from("old/ca.crt").common_name() == "ctrl-exec CA");
    CHECK(certificate_from("old/ca.crt").serial() == "3dc01fd28be4e63fa30e787c6e603cd34641b7f1");
}

TEST_CASE("a certificate holds the key it was made for and no other") {
    const Certificate agent = certificate_from("old/agent.crt");
    const PrivateKey key = key_from("old/agent.key");
    CHECK(agent.holds_key_of(key));
    CHECK(agent.spki_der() == key.spki_der());
    CHECK_FALSE(agent.holds_key_of(key_from("old/ca.key")));
    CHECK_FALSE(agent.holds_key_of(new_ec_key()));
}

TEST_CASE("X.509 v1 certificates of an old deployment verify against its CA") {
    const Certificate ca = certificate_from("old/ca.crt");
    CHECK(verdict(certificate_from("old/agent.crt"), ca, old_start + day) == "");
    CHECK(verdict(certificate_from("old/ctrl-exec.crt"), ca, old_start + day) == "");
}

TEST_CASE("every kind of CA key signs for every kind of leaf key") {
    const auto keys = one_key_of_each_kind();
    for (const auto& issuer : keys) {
        const Certificate ca = make_ca(issuer.key);
        for (const auto& subject : keys) {
            CAPTURE(issuer.kind);
            CAPTURE(subject.kind);
            const Certificate leaf = make_certificate({}, subject.key, "Test CA", issuer.key);
            CHECK(verdict(leaf, ca, noon) == "");
            CHECK(leaf.holds_key_of(subject.key));
        }
    }
}

TEST_CASE("the dates of certificate and CA are checked at the given time, ends included") {
    const TestCa ca;
    const PrivateKey key = new_ec_key();
    const Certificate leaf = ca.leaf({}, key);
    CHECK(verdict(leaf, ca.certificate, noon - day) == "");
    CHECK(verdict(leaf, ca.certificate, noon + day - 1) == "");

    Recipe late;
    late.not_before = noon + 10;
    CHECK(verdict(ca.leaf(late, key), ca.certificate, noon) ==
          "certificate is not valid before Jan 15 08:00:10 2027 GMT: is a clock wrong? The one here is 10 s "
          "behind that");
    Recipe early;
    early.not_after = noon - 10;
    CHECK(verdict(ca.leaf(early, key), ca.certificate, noon) ==
          "certificate has expired (Jan 15 07:59:50 2027 GMT, 10 s ago)");
    Recipe lasting;
    lasting.not_after = noon + 100 * day;
    CHECK(verdict(ca.leaf(lasting, key), ca.certificate, noon + 2 * day) ==
          "CA certificate has expired (Jan 16 08:00:00 2027 GMT, 24 h ago)");
    lasting.not_before = noon - 100 * day;
    CHECK(mentions(verdict(ca.leaf(lasting, key), ca.certificate, noon - 2 * day),
                   "CA certificate is not valid before"));
}

TEST_CASE("a certificate of another CA is refused, also when that CA has the same name") {
    const TestCa ca;
    const PrivateKey key = new_ec_key();
    const PrivateKey other_key = new_ec_key();
    CHECK(verdict(make_certificate({}, key, "Test CA", other_key), ca.certificate, noon) ==
          "certificate is signed by another CA of the same name, or was changed after it was signed");
    CHECK(verdict(make_certificate({}, key, "Other CA", other_key), ca.certificate, noon) ==
          "certificate is signed by another CA");
    CHECK(mentions(verdict(certificate_from("old/agent.crt"), ca.certificate, noon), "another CA"));
    CHECK(verdict(make_self_signed({}, key), ca.certificate, noon) ==
          "certificate is self-signed, not signed by this CA");
    // The expired certificate of another CA is first of all one of another CA.
    Recipe expired;
    expired.not_after = noon - 1;
    CHECK(mentions(verdict(make_certificate(expired, key, "Test CA", other_key), ca.certificate, noon),
                   "another CA"));
}

TEST_CASE("a certificate that is no CA cannot vouch for another one") {
    const TestCa ca;
    const PrivateKey middle_key = new_ec_key();
    const PrivateKey key = new_ec_key();
    Recipe other;
    other.common_names = {"web-02"};
    const Certificate below = make_certificate(other, key, "web-01", middle_key);
    const struct {
        std::string what;
        Recipe recipe;
        const char* reason;
    } rows[] = {
        {"an X.509 v1 leaf", {}, "is not a CA certificate"},
        {"CA:FALSE", with({{NID_basic_constraints, "critical,CA:FALSE"}}), "is not a CA certificate"},
        {"no basicConstraints", with({{NID_key_usage, "keyCertSign"}}), "is not a CA certificate"},
        {"keyUsage without keyCertSign", with({ca_true, {NID_key_usage, "critical,digitalSignature"}}),
         "is not allowed to sign certificates"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.what);
        const std::string said = verdict(below, ca.leaf(row.recipe, middle_key), noon);
        CHECK_MESSAGE(mentions(said, row.reason), said);
        CHECK(verdict(below, make_self_signed(row.recipe, middle_key), noon) == said);
        CHECK(verdict(below, ca.certificate, noon) == "certificate is signed by another CA");
    }
}

TEST_CASE("a CA that another one has signed is a trust anchor all the same") {
    const TestCa root;
    const PrivateKey key = new_ec_key();
    Recipe recipe = with({ca_true});
    recipe.common_names = {"Our CA"};
    const Certificate ca = root.leaf(recipe, key);
    const Certificate leaf = make_certificate({}, new_ec_key(), "Our CA", key);
    CHECK(verdict(leaf, ca, noon) == "");
    CHECK(verdict(leaf, root.certificate, noon) == "certificate is signed by another CA");
}

TEST_CASE("a certificate that limits its use must allow both roles") {
    const TestCa ca;
    const PrivateKey key = new_ec_key();
    const struct {
        std::vector<std::pair<int, std::string>> extensions;
        const char* reason;
    } rows[] = {
        {{{NID_ext_key_usage, "serverAuth,clientAuth"}}, ""},
        {{{NID_ext_key_usage, "clientAuth,codeSigning,serverAuth"}}, ""},
        {{{NID_basic_constraints, "CA:FALSE"}}, ""},
        {{{NID_key_usage, "digitalSignature,keyEncipherment"}}, ""},
        {{{NID_ext_key_usage, "serverAuth"}}, "does not allow both TLS client and TLS server"},
        {{{NID_ext_key_usage, "critical,clientAuth"}}, "does not allow both TLS client and TLS server"},
        {{{NID_ext_key_usage, "codeSigning"}}, "does not allow both TLS client and TLS server"},
        {{{NID_ext_key_usage, "anyExtendedKeyUsage"}}, "does not allow both TLS client and TLS server"},
        {{{NID_key_usage, "keyEncipherment"}}, "does not allow digital signatures"},
        {{{NID_policy_constraints, "critical,requireExplicitPolicy:0"}}, "not valid"},
        {{{NID_name_constraints, "critical,permitted;DNS:example.org"}}, ""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.extensions.front().second);
        const std::string said = verdict(ca.leaf(with(row.extensions), key), ca.certificate, noon);
        CHECK_MESSAGE((*row.reason == '\0' ? said.empty() : mentions(said, row.reason)), said);
    }
}

TEST_CASE("a certificate changed in any one byte is refused") {
    const TestCa ca;
    const Certificate leaf = ca.leaf(with({{NID_ext_key_usage, "serverAuth,clientAuth"}}), new_ec_key());
    const std::string der = leaf.der();
    for (std::size_t i = 0; i < der.size(); ++i) {
        std::string changed = der;
        changed[i] = static_cast<char>(changed[i] ^ 1);
        const auto read = Certificate::from_pem(to_pem("CERTIFICATE", changed), "x");
        CAPTURE(i);
        if (read) CHECK(verdict(*read, ca.certificate, noon) != "");
        if (i > 0) CHECK_FALSE(Certificate::from_pem(to_pem("CERTIFICATE", der.substr(0, i)), "x"));
    }
}

TEST_CASE("serials have the normal form") {
    const PrivateKey key = new_ec_key();
    const struct {
        std::string number;
        const char* text;
    } rows[] = {
        {"2", "02"},
        {"0A", "0a"},
        {"FFEE", "ffee"},
        {"0", "00"},
        {"100", "0100"},
        {"80", "80"},
        {"ffffffffffffffffffffffffffffffffffffffff", "ffffffffffffffffffffffffffffffffffffffff"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.number);
        Recipe recipe;
        recipe.serial = row.number;
        const auto read = Certificate::from_pem(make_self_signed(recipe, key).to_pem(), "x");
        REQUIRE(read);
        CHECK(read->serial() == row.text);
    }
}

TEST_CASE("a serial that no list can hold is refused, and never looks like a trusted one") {
    const TestCa ca;
    for (const std::string& number : {std::string("-05"), std::string("-8000"), "1" + std::string(40, 'f')}) {
        CAPTURE(number);
        Recipe recipe;
        recipe.serial = number;
        const Certificate leaf = ca.leaf(recipe, new_ec_key());
        const auto read = Certificate::from_pem(leaf.to_pem(), "web.crt");
        REQUIRE_FALSE(read);
        CHECK(mentions(read.error().message, "web.crt: the certificate has a serial number"));
        CHECK(mentions(verdict(leaf, ca.certificate, noon), "serial number"));
        CHECK((leaf.serial().front() == '-' || leaf.serial().size() > 40));
    }
}

TEST_CASE("a common name that two readers may understand differently is refused") {
    const TestCa ca;
    using namespace std::string_literals;
    for (const auto& names : {std::vector{"web-01\0.example.org"s}, std::vector{"web\n01"s},
                              std::vector{"\x1b[2J"s}, std::vector{"web-01"s, "web-02"s}}) {
        Recipe recipe;
        recipe.common_names = names;
        const Certificate leaf = ca.leaf(recipe, new_ec_key());
        CAPTURE(names.front());
        CHECK(leaf.common_name() == "");
        CHECK_FALSE(Certificate::from_pem(leaf.to_pem(), "x"));
        CHECK(mentions(verdict(leaf, ca.certificate, noon), "common name"));
    }
    Recipe unnamed;
    unnamed.common_names = {};
    CHECK(ca.leaf(unnamed, new_ec_key()).common_name() == "");
    CHECK(verdict(ca.leaf(unnamed, new_ec_key()), ca.certificate, noon) == "");
}

TEST_CASE("text that is not exactly one certificate is refused") {
    const std::string good = data("old/agent.crt");
    const struct {
        std::string what;
        std::string pem;
        const char* reason;
    } rows[] = {
        {"nothing", "", "empty"},
        {"text", "hello", "not PEM"},
        {"DER", from_pem(good), "not PEM"},
        {"a key", data("old/agent.key"), "holds a PRIVATE KEY, not a CERTIFICATE"},
        {"a trusted certificate", to_pem("TRUSTED CERTIFICATE", from_pem(good)),
         "holds a TRUSTED CERTIFICATE"},
        {"two certificates", good + data("old/ca.crt"), "more than one"},
        {"trailing text", good + "trailing", "after the end"},
        {"a NUL", good + std::string(1, '\0'), "not PEM"},
        {"cut off", good.substr(0, 1000), "broken PEM"},
        {"DER with more", to_pem("CERTIFICATE", from_pem(good) + "x"), "not a valid X.509 certificate"},
        {"other DER", to_pem("CERTIFICATE", from_pem(data("old/agent.key"))),
         "not a valid X.509 certificate"},
        {"too much", good + std::string(64 * 1024, ' '), "larger than 65536 bytes"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.what);
        const auto read = Certificate::from_pem(row.pem, "dir/agent.crt");
        REQUIRE_FALSE(read);
        CHECK(mentions(read.error().message, "dir/agent.crt"));
        CHECK_MESSAGE(mentions(read.error().message, row.reason), read.error().message);
    }
    CHECK(Certificate::from_pem("Certificate:\n    Data:\n" + good + "\r\n", "x"));
}

TEST_CASE("a certificate file is read, a missing one is an error with the path in it") {
    const TempDir dir;
    dir.put("agent.crt", data("old/agent.crt"), 0644);
    CHECK(Certificate::from_file(dir.file("agent.crt")));
    const auto missing = Certificate::from_file(dir.file("ca.crt"));
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == Errc::not_found);
    CHECK(mentions(missing.error().message, dir.file("ca.crt")));
}
