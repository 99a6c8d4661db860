#include "core/authority.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/serial.h"
#include "core/timestamp.h"
#include "test/core/crypto_fixture.h"

using namespace ctrlexec;
using namespace ctrlexec::test;

namespace {

constexpr int ten_years = 3650;

bool mentions(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

Authority create(const TempDir& dir, KeyType type = KeyType::ecdsa) {
    auto authority = Authority::create(dir.file(""), "", type, ten_years);
    REQUIRE_MESSAGE(authority, (authority ? "" : authority.error().text()));
    return std::move(*authority);
}

Authority open(const TempDir& dir) {
    auto authority = Authority::open(dir.file(""), "");
    REQUIRE_MESSAGE(authority, (authority ? "" : authority.error().text()));
    return std::move(*authority);
}

CertificateRequest request_for(const PrivateKey& key, const std::string& name = "web-01") {
    auto request = CertificateRequest::create(key, name);
    REQUIRE(request);
    return std::move(*request);
}

Certificate issue(Authority& authority, const std::string& name, std::int64_t now, int days = 365) {
    const PrivateKey key = new_ec_key();
    auto certificate = authority.issue(request_for(key), name, days, now);
    REQUIRE_MESSAGE(certificate, (certificate ? "" : certificate.error().text()));
    CHECK(certificate->holds_key_of(key));
    return std::move(*certificate);
}

void put_old_deployment(const TempDir& dir) {
    dir.put("ca.crt", data("old/ca.crt"), 0644);
    dir.put("ca.key", data("old/ca.key"), 0600);
    dir.put("ca.serial", data("old/ca.serial"), 0600);
}

constexpr std::int64_t old_now = 1795351026 + day;  // a day after the old deployment was made

}  // namespace

TEST_CASE("a new CA has the documented files, modes and extensions") {
    const TempDir dir;
    const std::int64_t before = now_seconds();
    const Authority authority = create(dir);
    const Certificate& ca = authority.certificate();
    CHECK(dir.mode("ca.key") == 0600);
    CHECK(dir.mode("ca.crt") == 0644);
    CHECK(dir.mode("ca.serial") == 0600);
    CHECK(dir.content("ca.crt") == ca.to_pem());
    CHECK(dir.content("ca.serial") == ca.serial() + "\n");
    CHECK(ca.common_name() == "ctrl-exec CA");
    CHECK(ca.not_before() >= before - 600);
    CHECK(ca.not_before() <= now_seconds() - 600);
    CHECK(ca.not_after() >= before + ten_years * day);
    CHECK(extension(ca, NID_basic_constraints) == "critical CA:TRUE, pathlen:0");
    CHECK(extension(ca, NID_key_usage) == "critical Certificate Sign, CRL Sign");
    CHECK(extension(ca, NID_subject_key_identifier).size() == 59);
    CHECK(extension(ca, NID_ext_key_usage) == "");
    const auto key = PrivateKey::from_file(dir.file("ca.key"));
    REQUIRE(key);
    CHECK(ca.holds_key_of(*key));
}

TEST_CASE("a CA with an RSA key is made on request and signs for EC keys") {
    const TempDir dir;
    Authority authority = create(dir, KeyType::rsa);
    CHECK(authority.certificate().spki_der().size() == 550);  // 4096 bits
    CHECK(issue(authority, "web-01", now_seconds()).verify(authority.certificate(), now_seconds()));
}

TEST_CASE("an issued certificate has the documented contents and verifies") {
    const TempDir dir;
    create(dir);
    Authority authority = open(dir);
    const std::int64_t now = now_seconds();
    const Certificate leaf = issue(authority, "web-01", now, 365);
    CHECK(leaf.verify(authority.certificate(), now));
    CHECK(leaf.common_name() == "web-01");
    CHECK(leaf.not_before() == now - 600);
    CHECK(leaf.not_after() == now + 365 * day);
    CHECK(extension(leaf, NID_basic_constraints) == "critical CA:FALSE");
    CHECK(extension(leaf, NID_key_usage) == "critical Digital Signature");
    CHECK(extension(leaf, NID_ext_key_usage) ==
          "TLS Web Server Authentication, TLS Web Client Authentication");
    CHECK(extension(leaf, NID_subject_alt_name) == "DNS:web-01");
    CHECK(extension(leaf, NID_subject_key_identifier).size() == 59);
    CHECK(mentions(extension(leaf, NID_authority_key_identifier),
                   extension(authority.certificate(), NID_subject_key_identifier)));
    CHECK(Certificate::from_pem(leaf.to_pem(), "x"));
}

TEST_CASE("every kind of CA key issues for every kind of request key") {
    for (const auto& ca : one_key_of_each_kind()) {
        const TempDir dir;
        dir.put("ca.key", ca.key.to_pem(), 0600);
        Authority authority = create(dir);
        CHECK(authority.certificate().holds_key_of(ca.key));
        for (const auto& subject : one_key_of_each_kind()) {
            CAPTURE(ca.kind);
            CAPTURE(subject.kind);
            const auto leaf = authority.issue(request_for(subject.key), "web-01", 30, now_seconds());
            REQUIRE(leaf);
            CHECK(leaf->holds_key_of(subject.key));
            CHECK(leaf->verify(authority.certificate(), now_seconds()));
        }
    }
}

TEST_CASE("validity is counted in whole days and never passes the CA's own end") {
    const TempDir dir;
    put_old_deployment(dir);
    Authority authority = open(dir);
    const std::int64_t end = authority.certificate().not_after();
    CHECK(issue(authority, "a", old_now, 1).not_after() == old_now + day);
    CHECK(issue(authority, "a", old_now, 36500).not_after() == end);
    CHECK(issue(authority, "a", end - 60, 30).not_after() == end);
    const PrivateKey key = new_ec_key();
    for (const int days : {0, -1, 36501, 2147483647, -2147483647}) {
        CAPTURE(days);
        const auto leaf = authority.issue(request_for(key), "a", days, old_now);
        REQUIRE_FALSE(leaf);
        CHECK(leaf.error().code == Errc::config);
        const TempDir empty;
        CHECK_FALSE(Authority::create(empty.file(""), "", KeyType::ecdsa, days));
    }
}

TEST_CASE("a CA outside its own dates signs nothing and says why") {
    const TempDir dir;
    put_old_deployment(dir);
    Authority authority = open(dir);
    const PrivateKey key = new_ec_key();
    const auto expired = authority.issue(request_for(key), "a", 30, authority.certificate().not_after());
    REQUIRE_FALSE(expired);
    CHECK(mentions(expired.error().message, "ca.crt has expired (Nov 19 12:37:01 2036 GMT)"));
    const auto early = authority.issue(request_for(key), "a", 30, authority.certificate().not_before() - 1);
    REQUIRE_FALSE(early);
    CHECK(mentions(early.error().message, "clock"));
    CHECK(dir.content("ca.serial") == "03\n");
}

TEST_CASE("the CA of an old deployment is taken over in place") {
    const TempDir dir;
    put_old_deployment(dir);
    Authority authority = open(dir);
    const Certificate leaf = issue(authority, "agent1", old_now);
    CHECK(leaf.verify(certificate_from("old/ca.crt"), old_now));
    CHECK(mentions(extension(leaf, NID_authority_key_identifier),
                   "60:71:70:EE:29:43:06:61:09:D1:21:6B:FD:56:0B:58:A8:2F:2D:37"));
    CHECK(dir.content("ca.serial") == leaf.serial() + "\n");
    CHECK(dir.mode("ca.serial") == 0600);
    CHECK(dir.content("ca.key") == data("old/ca.key"));
    CHECK(dir.content("ca.crt") == data("old/ca.crt"));
}

TEST_CASE("a leaf of this CA cannot be used as a CA") {
    const TempDir dir;
    Authority authority = create(dir);
    const PrivateKey middle_key = new_ec_key();
    const auto middle = authority.issue(request_for(middle_key), "web-01", 30, now_seconds());
    REQUIRE(middle);
    Recipe recipe;
    recipe.not_before = now_seconds() - day;
    recipe.not_after = now_seconds() + day;
    const Certificate below = make_certificate(recipe, new_ec_key(), "web-01", middle_key);
    const auto by_leaf = below.verify(*middle, now_seconds());
    REQUIRE_FALSE(by_leaf);
    CHECK(mentions(by_leaf.error().message, "is not a CA certificate"));
    CHECK_FALSE(below.verify(authority.certificate(), now_seconds()));
}

TEST_CASE("a serial is 128 random bits in normal form, written down before the signature is made") {
    const TempDir dir;
    Authority authority = create(dir);
    std::set<std::string> seen{authority.certificate().serial()};
    for (int i = 0; i < 50; ++i) {
        const std::string serial = issue(authority, "web-01", now_seconds()).serial();
        CHECK(serial.size() == 32);
        CHECK(serial.front() >= '1');
        CHECK(serial.front() <= '7');
        CHECK(normalize_serial(serial) == serial);
        CHECK(dir.content("ca.serial") == serial + "\n");
        CHECK(seen.insert(serial).second);
    }
    const std::string last = dir.content("ca.serial");
    CHECK_FALSE(authority.issue(request_for(new_ec_key()), std::string(65, 'a'), 30, now_seconds()));
    CHECK(dir.content("ca.serial") != last);  // no signature, but the number is spent
}

TEST_CASE("two processes' worth of issuing at once never repeats a serial") {
    const TempDir dir;
    create(dir);
    constexpr int each = 40;
    std::vector<std::string> serials[2];
    std::vector<std::thread> threads;
    for (auto& list : serials) {
        threads.emplace_back([&dir, &list] {
            auto authority = Authority::open(dir.file(""), "");
            const auto key = PrivateKey::generate(KeyType::ecdsa);
            const auto request = CertificateRequest::create(*key, "web-01");
            for (int i = 0; i < each; ++i) {
                if (auto leaf = authority->issue(*request, "web-01", 30, now_seconds()))
                    list.push_back(leaf->serial());
            }
        });
    }
    for (auto& thread : threads) thread.join();
    std::set<std::string> all(serials[0].begin(), serials[0].end());
    all.insert(serials[1].begin(), serials[1].end());
    CHECK(all.size() == 2 * each);
    const std::string last = dir.content("ca.serial");
    CHECK((last == serials[0].back() + "\n" || last == serials[1].back() + "\n"));
}

TEST_CASE("any serial number in ca.serial is accepted, and a missing file too") {
    const TempDir dir;
    Authority authority = create(dir);
    for (const std::string content :
         {"03\n", "03", "3\n", "FFEE\n", "00\r\n", "0000000000000000000000000000000000000000000003\n"}) {
        CAPTURE(content);
        dir.put("ca.serial", content, 0600);
        const std::string serial = issue(authority, "a", now_seconds()).serial();
        CHECK(dir.content("ca.serial") == serial + "\n");
    }
    REQUIRE(::unlink(dir.file("ca.serial").c_str()) == 0);
    const std::string serial = issue(authority, "a", now_seconds()).serial();
    CHECK(dir.content("ca.serial") == serial + "\n");
}

TEST_CASE("a broken ca.serial is reported with the remedy and left as it is") {
    const TempDir dir;
    Authority authority = create(dir);
    using namespace std::string_literals;
    for (const std::string& content : {""s, "\n"s, "hello\n"s, "03\n04\n"s, "-03\n"s, "03\0"s,
                                       std::string(41, 'f') + "\n", std::string(100'000, '0')}) {
        CAPTURE(content.size());
        dir.put("ca.serial", content, 0600);
        const auto leaf = authority.issue(request_for(new_ec_key()), "a", 30, now_seconds());
        REQUIRE_FALSE(leaf);
        CHECK(mentions(leaf.error().message, dir.file("ca.serial")));
        CHECK(mentions(leaf.error().message, "move it away"));
        CHECK(dir.content("ca.serial") == content);
    }
}

TEST_CASE("without a serial on disk nothing is signed") {
    const TempDir dir;
    Authority authority = create(dir);
    REQUIRE(::unlink(dir.file("ca.serial").c_str()) == 0);
    REQUIRE(::mkdir(dir.file("ca.serial").c_str(), 0700) == 0);
    CHECK_FALSE(authority.issue(request_for(new_ec_key()), "a", 30, now_seconds()));
}

TEST_CASE("create keeps an existing CA byte for byte") {
    const TempDir dir;
    put_old_deployment(dir);
    const auto again = Authority::create(dir.file(""), "", KeyType::ecdsa, ten_years);
    REQUIRE_FALSE(again);
    CHECK(again.error().code == Errc::exists);
    CHECK(mentions(again.error().message, dir.file("ca.crt")));
    for (const char* name : {"ca.crt", "ca.key", "ca.serial"})
        CHECK(dir.content(name) == data(std::string("old/") + name));

    dir.put("ca.crt", "not even a certificate", 0644);
    CHECK_FALSE(Authority::create(dir.file(""), "", KeyType::ecdsa, ten_years));
    CHECK(dir.content("ca.crt") == "not even a certificate");
}

TEST_CASE("a ca.key without ca.crt is used, whatever its type, and never replaced") {
    const TempDir dir;
    dir.put("ca.key", data("old/ca.key"), 0600);
    dir.put("ca.serial", "03\n", 0600);
    const Authority authority = create(dir, KeyType::ecdsa);
    CHECK(dir.content("ca.key") == data("old/ca.key"));
    CHECK(authority.certificate().holds_key_of(key_from("old/ca.key")));
}

TEST_CASE("an unusable ca.key stops create, and is kept") {
    const struct {
        std::string content;
        mode_t mode;
    } rows[] = {{"", 0600},
                {"garbage", 0600},
                {data("keys/rsa-1024.pem"), 0600},
                {data("keys/p256-pkcs8.pem"), 0644}};
    for (const auto& row : rows) {
        const TempDir dir;
        dir.put("ca.key", row.content, row.mode);
        const auto made = Authority::create(dir.file(""), "", KeyType::ecdsa, ten_years);
        REQUIRE_FALSE(made);
        CHECK(mentions(made.error().message, dir.file("ca.key")));
        CHECK(dir.content("ca.key") == row.content);
        CHECK(::access(dir.file("ca.crt").c_str(), F_OK) != 0);
    }
}

TEST_CASE("two creates at once make one CA whose files belong together") {
    const TempDir dir;
    bool made[2] = {};
    std::vector<std::thread> threads;
    for (bool& one : made) {
        threads.emplace_back([&dir, &one] {
            one = Authority::create(dir.file(""), "", KeyType::ecdsa, ten_years).has_value();
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(made[0] != made[1]);
    open(dir);
}

TEST_CASE("create makes a missing directory") {
    const TempDir dir;
    CHECK(Authority::create(dir.file("etc/ctrl-exec"), "", KeyType::ecdsa, ten_years));
    CHECK(dir.mode("etc/ctrl-exec/ca.key") == 0600);
}

TEST_CASE("open explains what is missing or does not fit") {
    const TempDir dir;
    const auto error = [&dir] {
        const auto opened = Authority::open(dir.file(""), "");
        REQUIRE_FALSE(opened);
        return opened.error();
    };
    CHECK(error().code == Errc::config);
    CHECK(mentions(error().message, "setup-ca"));

    dir.put("ca.crt", data("old/ca.crt"), 0644);
    CHECK(error().code == Errc::config);
    CHECK(mentions(error().message, "ca.key is not there"));
    CHECK(mentions(error().message, "backup"));

    dir.put("ca.key", data("old/agent.key"), 0600);
    CHECK(error().code == Errc::crypto);
    CHECK(mentions(error().message, "does not belong to"));

    dir.put("ca.key", data("old/ca.key"), 0644);
    CHECK(mentions(error().message, "chmod 600"));

    dir.put("ca.crt", data("old/agent.crt"), 0644);
    dir.put("ca.key", data("old/agent.key"), 0600);
    CHECK(mentions(error().message, "ca.crt is not a CA certificate"));

    dir.put("ca.crt", "", 0644);
    CHECK(mentions(error().message, "ca.crt: empty"));
}
