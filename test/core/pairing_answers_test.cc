#include "core/pairing_answers.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "core/csr.h"
#include "core/digest.h"
#include "core/pairing_proof.h"
#include "test/core/crypto_fixture.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::test;
using ctrlexec::testing::mentions;

namespace {

const std::string reqid = "0123456789abcdef";

// A dispatcher of one CA, and an agent that asks it.
struct Peers {
    PrivateKey ca_key = new_ec_key(), leaf_key = new_ec_key(), agent_key = new_ec_key();
    Certificate authority = make_ca(ca_key);
    Certificate leaf = certificate("ctrl-exec", leaf_key);
    PairingQuestion question;

    explicit Peers(PairingProofs proofs = {}) {
        auto request = make_request(agent_key, "web-01");
        REQUIRE(request);
        auto made = PairingQuestion::create("web-01", *request, std::move(proofs));
        REQUIRE(made);
        question = *made;
    }

    Certificate certificate(const std::string& name, const PrivateKey& key) const {
        Recipe recipe;
        recipe.common_names = {name};
        return make_certificate(recipe, key, "Test CA", ca_key);
    }
    CaPin pin() const { return CaPin{digest_of(authority.spki_der())}; }

    json::Value first() const {
        return json::Value(json::Object{{"status", "pending"},
                                        {"reqid", reqid},
                                        {"pair_v", 2},
                                        {"ca", authority.to_pem()},
                                        {"dispatcher_id", "d1"},
                                        {"dispatcher_serial", leaf.serial()},
                                        {"sas_nonce", std::string(64, 'a')}});
    }
    json::Value last(bool second_version = true) const {
        json::Value answer(json::Object{{"status", "approved"},
                                        {"cert", certificate("web-01", agent_key).to_pem()},
                                        {"ca", authority.to_pem()},
                                        {"nonce", question.nonce},
                                        {"dispatcher_id", "d1"},
                                        {"dispatcher_serial", leaf.serial()}});
        if (second_version) answer.set("pair_v", 2);
        return answer;
    }
    Result<NewPairing> pair(const json::Value& first, const json::Value& last) const {
        TRY(const PairingReceipt receipt, read_receipt(question, first, leaf, noon));
        return read_decision(question, receipt, last, leaf, noon);
    }
};

json::Value old_first() {
    return json::Value(json::Object{{"status", "pending"}, {"reqid", reqid}});
}

void check_refused(const Result<NewPairing>& result, Errc code, const std::string& expected) {
    REQUIRE_FALSE(result);
    CHECK(result.error().code == code);
    CHECK_MESSAGE(mentions(result.error().text(), expected), result.error().text());
}

}  // namespace

TEST_CASE("without pin and token the answers fit together, and nobody has proven them") {
    const Peers peers;
    const auto pairing = peers.pair(peers.first(), peers.last());
    REQUIRE(pairing);
    CHECK(pairing->proof == PairingProof::none);
    CHECK(pairing->version == 2);
    CHECK(pairing->dispatcher_serial == peers.leaf.serial());
    const PairingTranscript transcript{peers.question.csr_digest,
                                       peers.pin().digest,
                                       digest_of(peers.leaf.spki_der()),
                                       "web-01",
                                       "d1",
                                       peers.leaf.serial(),
                                       reqid};
    CHECK(pairing->sas ==
          short_authentication_string(peers.question.sas_nonce, std::string(32, '\xaa'), transcript));
}

TEST_CASE("a pin proves a dispatcher's certificate of its CA, not an agent's, in both versions") {
    Peers peers;
    peers.question.proofs.pins = {CaPin{std::string(32, 'x')}, peers.pin()};
    for (const bool second : {true, false}) {
        const auto first = second ? peers.first() : old_first();
        const auto pairing = peers.pair(first, peers.last(second));
        REQUIRE(pairing);
        CHECK(pairing->proof == PairingProof::pin);
        CHECK(pairing->version == (second ? 2 : 1));
        Peers other = Peers(peers.question.proofs);
        check_refused(other.pair(second ? other.first() : old_first(), other.last(second)), Errc::bad_answer,
                      "another pin");
    }
    peers.leaf = peers.certificate("web-02", peers.leaf_key);
    check_refused(peers.pair(peers.first(), peers.last()), Errc::bad_answer, "not a dispatcher's");
    check_refused(peers.pair(old_first(), peers.last(false)), Errc::bad_answer, "not a dispatcher's");
}

TEST_CASE("a token is proven by the mac of the last answer") {
    Peers peers;
    const JoinToken token{"0011223344556677", std::string(20, 's'), peers.pin()};
    peers.question.proofs.token = std::make_shared<JoinToken>(token);
    peers.question.proofs.pins = {token.pin};
    check_refused(peers.pair(peers.first(), peers.last()), Errc::bad_answer, "join token");
    check_refused(peers.pair(old_first(), peers.last(false)), Errc::bad_answer, "pairing version 2");
    json::Value last = peers.last();
    const auto certificate = Certificate::from_pem(last.text("cert"), "x");
    REQUIRE(certificate);
    const std::string key = join_key(token.secret, token.pin.digest);
    last.set("join_mac", join_answer_mac(key, peers.question.nonce, digest_of(certificate->der()),
                                         token.pin.digest, peers.leaf.serial(), "d1"));
    const auto pairing = peers.pair(peers.first(), last);
    REQUIRE(pairing);
    CHECK(pairing->proof == PairingProof::token);
    const auto body = json::parse(peers.question.body(peers.leaf), 65536);
    REQUIRE(body);
    REQUIRE(body->find("join") != nullptr);
    CHECK(body->find("join")->text("kid") == token.kid);
    CHECK(body->find("join")->text("mac") == join_request_mac(key, peers.question.nonce,
                                                              peers.question.csr_digest,
                                                              digest_of(peers.leaf.spki_der()), "web-01"));
}

TEST_CASE("a check code that is wanted cannot be had from the first version") {
    Peers peers;
    CHECK(peers.pair(old_first(), peers.last(false)));
    peers.question.proofs.check_code = true;
    check_refused(peers.pair(old_first(), peers.last(false)), Errc::bad_answer, "pair_trust = sas");
}

TEST_CASE("what a dispatcher refuses for now is another error than what it refuses") {
    const Peers peers;
    for (const auto& [reason, code] :
         std::vector<std::pair<std::string, Errc>>{{"pairing queue full", Errc::busy},
                                                   {"rate limited", Errc::busy},
                                                   {"join token expired", Errc::denied}}) {
        const json::Value error(json::Object{{"status", "error"}, {"reason", reason}});
        check_refused(peers.pair(error, {}), code, reason);
    }
    for (const auto& [reason, code] :
         std::vector<std::pair<std::string, Errc>>{{"approval timeout", Errc::timed_out},
                                                   {"no reveal", Errc::timed_out},
                                                   {"rejected by operator", Errc::denied}}) {
        const json::Value denied(json::Object{{"status", "denied"}, {"reason", reason}});
        check_refused(peers.pair(peers.first(), denied), code, reason);
    }
}

TEST_CASE("a clock that is wrong is named, and passes") {
    const Peers peers;
    for (const std::int64_t now : {noon - 2 * day, noon + 2 * day}) {
        const auto receipt = read_receipt(peers.question, peers.first(), peers.leaf, now);
        REQUIRE_FALSE(receipt);
        CHECK(receipt.error().code == Errc::tls_failed);
        CHECK(mentions(receipt.error().text(), "the clock here says"));
    }
}
