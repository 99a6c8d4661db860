#include "core/pairing_messages.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "core/csr.h"
#include "core/digest.h"
#include "core/pairing_proof.h"
#include "test/core/crypto_fixture.h"

using namespace ctrlexec;
using ctrlexec::test::make_request;
using ctrlexec::test::new_ec_key;
using namespace std::string_view_literals;

namespace {

const std::string agent_nonce(32, 'a');
const std::string our_nonce(32, 'b');

std::string hex(std::string_view bytes) {
    return to_hex({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

json::Value body_of(const std::string& csr) {
    const auto request = CertificateRequest::from_pem(csr);
    REQUIRE(request);
    return json::Object{{"hostname", "web-01"},
                        {"csr", csr},
                        {"nonce", "00ff"},
                        {"pair_v", 2},
                        {"sas_commit", sas_commitment(agent_nonce, digest_of(request->der()))}};
}

Result<PairingRequest> parse_with(json::Value body, std::string_view key, json::Value value) {
    body.set(key, std::move(value));
    return parse_pairing_body(json::dump(body), false);
}

std::string reveal(const json::Value& reqid, const json::Value& nonce) {
    return json::dump(json::Object{{"reqid", reqid}, {"sas_nonce", nonce}});
}

PairingOffer offer_of() {
    PairingOffer offer;
    offer.ca_pem = "CA";
    offer.ca_key_digest = digest_of("ca");
    offer.leaf_key_digest = digest_of("leaf");
    offer.dispatcher_id = "0123456789abcdef";
    offer.dispatcher_serial = "1a2b";
    return offer;
}

}  // namespace

TEST_CASE("pair_v is a whole number from 1; what is above ours is answered with ours") {
    const json::Value body = body_of(make_request({"web-01"}, new_ec_key()));
    CHECK(parse_pairing_body(json::dump(body), false)->version == 2);
    CHECK(parse_with(body, "pair_v", 1)->version == 1);
    CHECK(parse_with(body, "pair_v", 3)->version == 2);
    CHECK(parse_with(body, "pair_v", std::uint64_t{18'446'744'073'709'551'615u})->version == 2);
    for (const json::Value& value :
         {json::Value(), json::Value(0), json::Value(-2), json::Value(2.5), json::Value("2"),
          json::Value(true), json::Value(json::Array{json::Value(2)}), json::Value(json::Object{})}) {
        CHECK_MESSAGE(!parse_with(body, "pair_v", value), json::dump(value));
    }
}

TEST_CASE("version 2 needs a commitment, and a token's proof needs version 2") {
    const json::Value body = body_of(make_request({"web-01"}, new_ec_key()));
    for (const auto commit : {""sv, "00"sv, "xyz"sv}) CHECK_FALSE(parse_with(body, "sas_commit", commit));
    CHECK_FALSE(parse_with(body, "sas_commit", std::string(64, 'A')));
    CHECK_FALSE(parse_with(body, "sas_commit", std::string(65, 'a')));
    const json::Value join = json::Object{{"kid", std::string(16, '0')}, {"mac", std::string(64, 'a')}};
    const auto joins = parse_with(body, "join", join);
    REQUIRE(joins);
    REQUIRE(joins->join);
    CHECK(joins->join->kid == std::string(16, '0'));
    json::Value first = body;
    first.set("pair_v", 1);
    CHECK_FALSE(parse_with(first, "join", join));
    for (const json::Value& bad :
         {json::Value(), json::Value("x"), json::Value(json::Object{}),
          json::Value(json::Object{{"kid", std::string(16, 'G')}, {"mac", std::string(64, 'a')}}),
          json::Value(json::Object{{"kid", std::string(16, '0')}, {"mac", std::string(63, 'a')}})}) {
        CHECK_MESSAGE(!parse_with(body, "join", bad), json::dump(bad));
    }
}

TEST_CASE("no agent gets the name that dispatchers' certificates have") {
    for (const std::string name : {"ctrl-exec", "CTRL-exec"}) {
        json::Value body = body_of(make_request({name}, new_ec_key()));
        const auto refused = parse_with(body, "hostname", name);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == Errc::bad_request);
    }
    json::Value body = body_of(make_request({"ctrl-exec-01"}, new_ec_key()));
    CHECK(parse_with(body, "hostname", "ctrl-exec-01"));
}

TEST_CASE("the check code comes of the nonce that was committed to, and of no other reveal") {
    const std::string csr = make_request({"web-01"}, new_ec_key());
    auto request = parse_pairing_body(json::dump(body_of(csr)), false);
    REQUIRE(request);
    request->id = "00c9845e0001ab42";
    const PairingOffer offer = offer_of();
    const auto code = check_reveal(*request, offer, our_nonce, reveal(request->id, hex(agent_nonce)));
    REQUIRE(code);
    const PairingTranscript transcript{digest_of(CertificateRequest::from_pem(csr)->der()),
                                       offer.ca_key_digest,
                                       offer.leaf_key_digest,
                                       "web-01",
                                       offer.dispatcher_id,
                                       offer.dispatcher_serial,
                                       request->id};
    CHECK(*code == short_authentication_string(agent_nonce, our_nonce, transcript));
    CHECK(check_code_of(*code) == *code);
    for (const std::string& body :
         {reveal(request->id, hex(our_nonce)), reveal("00c9845e0001ab43", hex(agent_nonce)),
          reveal(json::Value(), hex(agent_nonce)), reveal(request->id, json::Value()), reveal(request->id, 5),
          reveal(request->id, std::string(64, 'A')), reveal(request->id, hex(agent_nonce) + "00"),
          reveal(request->id, ""), std::string(), std::string("[]"), std::string("{"), std::string("null"),
          "{\"x\":\"" + std::string(70'000, 'x') + "\"}"}) {
        const auto refused = check_reveal(*request, offer, our_nonce, body);
        REQUIRE_MESSAGE(!refused, body.substr(0, 200));
        CHECK(refused.error().code == Errc::denied);
    }
}

TEST_CASE("a check code is typed with or without its dash") {
    CHECK(check_code_of("4831-1920") == "4831-1920");
    CHECK(check_code_of("00000000") == "0000-0000");
    for (const auto bad :
         {""sv, "4831"sv, "4831-192"sv, "4831-19200"sv, "4831_1920"sv, "483-11920"sv, "4831-192a"sv,
          "-48311920"sv, "483119200"sv, " 4831-1920"sv, "4831-1920\n"sv, "4831 1920"sv}) {
        CHECK_MESSAGE(check_code_of(bad).empty(), bad);
    }
}

TEST_CASE("the first answer of version 1 is what it always was") {
    PairingRequest request;
    request.id = "00c9845e0001ab42";
    CHECK(json::dump(pending_answer(request, nullptr, "")) ==
          "{\"status\":\"pending\",\"reqid\":\"00c9845e0001ab42\"}");
    request.version = 2;
    const PairingOffer offer = offer_of();
    CHECK(json::dump(pending_answer(request, &offer, "\x01\xff")) ==
          "{\"status\":\"pending\",\"reqid\":\"00c9845e0001ab42\",\"pair_v\":2,\"ca\":\"CA\","
          "\"dispatcher_id\":\"0123456789abcdef\",\"dispatcher_serial\":\"1a2b\",\"sas_nonce\":\"01ff\"}");
}
