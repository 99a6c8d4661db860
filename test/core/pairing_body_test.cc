#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/csr.h"
#include "core/pairing_messages.h"
#include "test/core/crypto_fixture.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using ctrlexec::test::data;
using ctrlexec::test::make_request;
using ctrlexec::test::new_ec_key;
using ctrlexec::testing::mentions;
using namespace std::string_view_literals;

namespace {

json::Object body_of(const std::string& csr, const std::string& hostname = "web-01") {
    return {{"hostname", hostname}, {"csr", csr}, {"nonce", "06ba031ebf93b5a2ba317abb3f87b35b"}};
}

std::string with(json::Value object, std::string_view key, json::Value value) {
    object.set(key, std::move(value));
    return json::dump(object);
}

}  // namespace

TEST_CASE("a pairing body of an old or a newer agent becomes a request") {
    const std::string csr = make_request({"web-01"}, new_ec_key());
    const auto old = parse_pairing_body(json::dump(body_of(csr)), false);
    REQUIRE(old);
    CHECK(old->hostname == "web-01");
    CHECK(old->csr == csr);
    CHECK(old->nonce == "06ba031ebf93b5a2ba317abb3f87b35b");
    CHECK(old->code == pairing_code(csr));
    CHECK(old->version == 1);
    CHECK(old->agent_port == 0);
    CHECK(old->lookup_by == "");
    json::Value newer = body_of(csr);
    newer.set("agent_port", "7000");
    newer.set("lookup_by", "ip");
    newer.set("pair_v", 3);
    newer.set("sas_commit", std::string(64, 'a'));
    newer.set("tomorrow", json::Object{{"kid", "x"}});
    const auto request = parse_pairing_body(json::dump(newer), false);
    REQUIRE(request);
    CHECK(request->agent_port == 7000);
    CHECK(request->version == 2);
    CHECK(request->lookup_by == "ip");
    CHECK(parse_pairing_body(with(body_of(csr), "agent_port", 70'000), false)->agent_port == 0);
    CHECK(parse_pairing_body(with(body_of(csr), "lookup_by", "../x"), false)->lookup_by == "");
}

TEST_CASE("an agent cannot choose its id, address, time or code") {
    json::Value body = body_of(make_request({"web-01"}, new_ec_key()));
    for (const auto* key : {"id", "ip", "received", "code"}) body.set(key, "01234567");
    const auto request = parse_pairing_body(json::dump(body), false);
    REQUIRE(request);
    CHECK(request->id == "");
    CHECK(request->ip == "");
    CHECK(request->received == "");
    CHECK(request->code != "01234567");
}

TEST_CASE("a pairing body with anything malformed is refused") {
    const PrivateKey key = new_ec_key();
    const std::string csr = make_request({"web-01"}, key);
    std::string tampered = csr;
    tampered[tampered.size() / 2] = tampered[tampered.size() / 2] == 'A' ? 'B' : 'A';
    std::vector<std::string> bodies{"", "null", "[]", "\"x\"", "{}", "{", json::dump(body_of(csr)) + "x"};
    for (const auto name :
         {""sv, "../web-01"sv, ".."sv, "a b"sv, "web-01\n"sv, "web-01\0"sv, "-x"sv, "\x1b[2J"sv}) {
        bodies.push_back(with(body_of(csr), "hostname", name));
    }
    for (const auto nonce : {""sv, "xyz"sv, "00 ff"sv, "0x00"sv, "00ff\0"sv, "00ff\n"sv}) {
        bodies.push_back(with(body_of(csr), "nonce", nonce));
    }
    bodies.push_back(with(body_of(csr), "nonce", std::string(129, 'a')));
    bodies.push_back(with(body_of(csr), "nonce", 123));
    bodies.push_back(with(body_of(csr), "hostname", json::Array{"web-01"}));
    for (const std::string& bad : {std::string(), std::string("garbage"), tampered, csr + csr, key.to_pem(),
                                   data("keys/rsa-1024.csr"), make_request({"web-01", "web-02"}, key),
                                   make_request({"web-01\x1b[2J"}, key), make_request({}, key)}) {
        bodies.push_back(with(body_of(csr), "csr", bad));
    }
    for (const auto& body : bodies) {
        const auto request = parse_pairing_body(body, false);
        REQUIRE_MESSAGE(!request, body);
        CHECK_MESSAGE(request.error().code == Errc::bad_request, body);
        CHECK_MESSAGE(!mentions(request.error().text(), "\x1b"), body);
    }
    CHECK_FALSE(parse_pairing_body(with(body_of(csr), "x", std::string(65'536, 'x')), false));
    CHECK_FALSE(parse_pairing_body(with(body_of(csr), "csr", csr + std::string(10'240, '\n')), false));
}

TEST_CASE("a request in another agent's name is refused unless the operator allows it") {
    const std::string csr = make_request({"web-02"}, new_ec_key());
    const auto refused = parse_pairing_body(json::dump(body_of(csr)), false);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::bad_request);
    CHECK(mentions(refused.error().message, "'web-02'"));
    CHECK(mentions(refused.error().message, "'web-01'"));
    const auto allowed = parse_pairing_body(json::dump(body_of(csr)), true);
    REQUIRE(allowed);
    CHECK(allowed->hostname == "web-01");
    CHECK_FALSE(parse_pairing_body(json::dump(body_of(make_request({"Web-01"}, new_ec_key()))), false));
}
