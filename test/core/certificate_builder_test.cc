#include "core/certificate_builder.h"

#include <doctest/doctest.h>
#include <openssl/x509.h>

#include <string>

#include "test/core/crypto_fixture.h"

using namespace ctrlexec;
using namespace ctrlexec::test;

namespace {

constexpr const char* serial = "7f00000000000000000000000000000a";

Result<bssl::UniquePtr<X509>> build(const std::string& name, const Certificate& ca,
                                    const PrivateKey& ca_key) {
    const PrivateKey key = new_ec_key();
    const CertificateFields fields{name, serial, noon, noon + day};
    return build_leaf(fields, key.native(), ca.native(), ca_key.native());
}

Certificate leaf_of(const std::string& name) {
    const PrivateKey key = new_ec_key();
    const Certificate ca = make_ca(key);
    auto built = build(name, ca, key);
    REQUIRE(built);
    Certificate leaf = Certificate::from_native(built->release());
    CHECK(leaf.verify(ca, noon));
    return leaf;
}

}  // namespace

TEST_CASE("serial, dates and names are those that were asked for") {
    const Certificate leaf = leaf_of("web-01");
    CHECK(leaf.serial() == serial);
    CHECK(leaf.not_before() == noon);
    CHECK(leaf.not_after() == noon + day);
    CHECK(leaf.common_name() == "web-01");
}

TEST_CASE("dates from 2050 on are written too") {
    const PrivateKey key = new_ec_key();
    const auto built = build_authority({"ctrl-exec CA", serial, noon, 2524608000 + day}, key.native());
    REQUIRE(built);
    bssl::UniquePtr<X509> copy = bssl::UpRef(*built);
    CHECK(Certificate::from_native(copy.release()).expiry_text() == "Jan  2 00:00:00 2050 GMT");
}

TEST_CASE("a leaf of a CA without a key identifier refers to none") {
    const PrivateKey key = new_ec_key();
    const auto without = build("web-01", make_ca(key), key);
    REQUIRE(without);
    CHECK(X509_get_ext_by_NID(without->get(), NID_authority_key_identifier, -1) < 0);
    const auto with = build("web-01", certificate_from("old/ca.crt"), key_from("old/ca.key"));
    REQUIRE(with);
    CHECK(X509_get_ext_by_NID(with->get(), NID_authority_key_identifier, -1) >= 0);
}

TEST_CASE("the name becomes an alternative name only when it is a DNS name or an address") {
    const struct {
        std::string name;
        const char* alternative;
    } rows[] = {
        {"web-01", "DNS:web-01"},
        {"web-01.example.org", "DNS:web-01.example.org"},
        {"WEB", "DNS:WEB"},
        {"7", "DNS:7"},
        {"a1.b2", "DNS:a1.b2"},
        {"192.0.2.7", "IP Address:192.0.2.7"},
        {"2001:db8::1", "IP Address:2001:DB8:0:0:0:0:0:1"},
        {"::1", "IP Address:0:0:0:0:0:0:0:1"},
        {"192.0.2.256", ""},
        {"192.0.2", ""},
        {"1.2.3.4.5", ""},
        {"web_01", ""},
        {"web-01.", ""},
        {"-web", ""},
        {"web-", ""},
        {"a.-b.c", ""},
        {"a..b", ""},
        {"web 01", ""},
        {"*.example.org", ""},
        {"a,DNS:evil.example.org", ""},
        {"b\xc3\xbc"
         "cher",
         ""},
        {"fe80::1%eth0", ""},
        {std::string(63, 'a'), nullptr},
        {std::string(64, 'a'), ""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name);
        const Certificate leaf = leaf_of(row.name);
        CHECK(leaf.common_name() == row.name);
        CHECK(extension(leaf, NID_subject_alt_name) ==
              (row.alternative != nullptr ? row.alternative : "DNS:" + row.name));
    }
}

TEST_CASE("a name that no certificate can carry is refused") {
    const PrivateKey key = new_ec_key();
    const Certificate ca = make_ca(key);
    using namespace std::string_literals;
    for (const std::string& name : {""s, std::string(65, 'a'), "a\0b"s, "a\nb"s, "\xff"s}) {
        const auto built = build(name, ca, key);
        REQUIRE_FALSE(built);
        CHECK(built.error().code == Errc::bad_request);
    }
}
