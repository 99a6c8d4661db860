#include "core/join_tokens.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/authority.h"
#include "core/digest.h"
#include "core/file.h"
#include "core/join_redemption.h"
#include "core/pairing_proof.h"
#include "core/revocation.h"
#include "core/serial_list.h"
#include "core/timestamp.h"
#include "test/core/crypto_fixture.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using ctrlexec::test::make_request;
using ctrlexec::test::new_ec_key;
using ctrlexec::testing::TempDir;

namespace {

// A dispatcher with a CA and a certificate, and agents that ask it.
class Dispatcher {
  public:
    Dispatcher() {
        config.ca_dir = dir / "ca";
        config.state_dir = dir / "state";
        config.cert = dir / "ctrl-exec.crt";
        auto authority = Authority::create(config.ca_dir, "", KeyType::ecdsa, 3650);
        REQUIRE(authority);
        const auto csr = CertificateRequest::create(new_ec_key(), "ctrl-exec");
        const auto leaf = authority->issue(*csr, "ctrl-exec", 365, now);
        REQUIRE(leaf);
        dir.put("ctrl-exec.crt", leaf->to_pem());
        auto loaded = load_pairing_offer(config, *leaf);
        REQUIRE_MESSAGE(loaded, (loaded ? "" : loaded.error().text()));
        offer = *loaded;
    }
    JoinTokens tokens() const { return JoinTokens(config); }
    Registry registry() const { return Registry(config.agents_dir()); }
    JoinToken make(const JoinTerms& terms = {}) const {
        auto token = tokens().create(terms, now);
        REQUIRE_MESSAGE(token, (token ? "" : token.error().text()));
        return *token;
    }
    bool is_revoked(const std::string& serial) const {
        return SerialList::load(config.revoked_serials())->contains(serial);
    }

    const TempDir dir;
    const std::int64_t now = now_seconds();
    DispatcherConfig config;
    PairingOffer offer;
};

PairingRequest ask(const Dispatcher& d, const JoinToken& token, const std::string& hostname,
                   const std::string& csr) {
    PairingRequest request;
    request.id = "0123456789abcdef";
    request.hostname = hostname;
    request.ip = "10.0.0.7";
    request.csr = csr;
    request.nonce = random_hex(16);
    request.version = 2;
    request.dispatcher_serial = d.offer.dispatcher_serial;
    request.ca_digest = to_hex(sha256(d.offer.ca_pem));
    const std::string key = join_key(token.secret, token.pin.digest);
    const std::string digest = digest_of(CertificateRequest::from_pem(csr)->der());
    request.join =
        JoinProof{token.kid, join_request_mac(key, request.nonce, digest, d.offer.leaf_key_digest, hostname)};
    return request;
}

PairingRequest ask(const Dispatcher& d, const JoinToken& token, const std::string& hostname = "web-01") {
    return ask(d, token, hostname, make_request({hostname}, new_ec_key()));
}

std::string refusal(const Dispatcher& d, const PairingRequest& request, std::int64_t now) {
    const auto checked = check_join(d.config, request, d.offer, now);
    const auto joined = redeem_join(d.config, request, d.offer, now);
    if (checked || joined) return "none";
    CHECK(checked.error().message == joined.error().message);
    return joined.error().message;
}

std::string refusal(const Dispatcher& d, const PairingRequest& request) {
    return refusal(d, request, d.now);
}

Joined join(const Dispatcher& d, const PairingRequest& request) {
    CHECK(check_join(d.config, request, d.offer, d.now));
    auto joined = redeem_join(d.config, request, d.offer, d.now);
    REQUIRE_MESSAGE(joined, (joined ? "" : joined.error().text()));
    return std::move(*joined);
}

mode_t mode_of(const std::string& path) {
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    return info.st_mode & 07777;
}

}  // namespace

TEST_CASE("a join token is stored without its secret, for its owner alone") {
    const Dispatcher d;
    JoinTerms terms;
    terms.hosts = "web-*";
    terms.from = "10.0.0.0/8";
    terms.uses = 3;
    terms.tags = {{"env", "prod"}};
    terms.replace = true;
    const JoinToken token = d.make(terms);
    const std::string directory = d.tokens().directory(token.kid);
    CHECK(mode_of(directory) == 0700);
    CHECK(mode_of(directory + "/token.json") == 0600);
    const auto text = read_file(directory + "/token.json", 10000);
    REQUIRE(text);
    CHECK(text->find(token.text()) == std::string::npos);
    const std::span secret(reinterpret_cast<const std::uint8_t*>(token.secret.data()), token.secret.size());
    CHECK(text->find(to_hex(secret)) == std::string::npos);
    const auto listing = d.tokens().list();
    REQUIRE(listing->tokens.size() == 1);
    const JoinTokenRecord& record = listing->tokens[0];
    CHECK(record.terms.hosts == "web-*");
    CHECK(record.terms.from == "10.0.0.0/8");
    CHECK(record.terms.uses == 3);
    CHECK(record.terms.tags == terms.tags);
    CHECK(record.terms.replace);
    CHECK(record.state(d.now) == "usable");
    CHECK(record.state(record.expires) == "expired");
    CHECK(d.tokens().any_usable(d.now));
    CHECK_FALSE(d.tokens().any_usable(record.expires));
}

TEST_CASE("terms that make no sense are refused") {
    const Dispatcher d;
    const auto refused = [&](auto change) {
        JoinTerms terms;
        change(terms);
        const auto token = d.tokens().create(terms, d.now);
        return !token && token.error().code == Errc::usage;
    };
    CHECK(refused([](JoinTerms& t) { t.ttl = 59; }));
    CHECK(refused([](JoinTerms& t) { t.ttl = 366 * 86400; }));
    CHECK(refused([](JoinTerms& t) { t.uses = 0; }));
    CHECK(refused([](JoinTerms& t) { t.uses = 100'001; }));
    CHECK(refused([](JoinTerms& t) { t.hosts = "web 01"; }));
    CHECK(refused([](JoinTerms& t) { t.hosts = std::string(254, 'a'); }));
    CHECK(refused([](JoinTerms& t) { t.from = "10.0.0.0/33"; }));
    CHECK(refused([](JoinTerms& t) { t.tags = {{"a b", "c"}}; }));
    CHECK(refused([](JoinTerms& t) { t.tags = {{"a", "b\n"}}; }));
    CHECK(refused([](JoinTerms& t) { t.tags = {{"a", "b"}, {"a", "c"}}; }));
    CHECK_FALSE(file_exists(d.config.join_tokens_dir()));
}

TEST_CASE("without a CA there is no join token") {
    const TempDir dir;
    DispatcherConfig config;
    config.ca_dir = dir / "ca";
    config.state_dir = dir / "state";
    const auto token = JoinTokens(config).create({}, now_seconds());
    REQUIRE_FALSE(token);
    CHECK(token.error().code == Errc::config);
    CHECK(token.error().message.find("setup-ca") != std::string::npos);
}

TEST_CASE("a good token signs, registers and proves the dispatcher") {
    const Dispatcher d;
    JoinTerms terms;
    terms.tags = {{"role", "web"}};
    const JoinToken token = d.make(terms);
    const PairingRequest request = ask(d, token);
    const Joined joined = join(d, request);
    CHECK_FALSE(joined.again);
    CHECK_FALSE(joined.replaced);
    CHECK(joined.answer.text("status") == "approved");
    CHECK(joined.answer.text("nonce") == request.nonce);
    CHECK(joined.answer.text("dispatcher_serial") == d.offer.dispatcher_serial);
    const auto certificate = Certificate::from_pem(joined.answer.text("cert"), "answer");
    REQUIRE(certificate);
    CHECK(certificate->serial() == joined.serial);
    CHECK(joined.answer.text("join_mac") == join_answer_mac(join_key(token.secret, token.pin.digest),
                                                            request.nonce, digest_of(certificate->der()),
                                                            d.offer.ca_key_digest, d.offer.dispatcher_serial,
                                                            d.offer.dispatcher_id));
    const auto record = d.registry().find("web-01");
    REQUIRE(record);
    CHECK(record->trust == "token");
    CHECK(record->join == token.kid);
    CHECK(record->tags == terms.tags);
    CHECK(d.tokens().list()->tokens[0].state(d.now) == "used up");
    CHECK(d.tokens().are_awaited(d.now));
    CHECK_FALSE(d.tokens().any_usable(d.now));
}

TEST_CASE("each term that does not hold has its reason, but only for who has the token") {
    const Dispatcher d;
    JoinTerms terms;
    terms.hosts = "web-*";
    terms.from = "10.0.0.0/8";
    const JoinToken token = d.make(terms);
    PairingRequest wrong = ask(d, token);
    wrong.join->mac.back() = wrong.join->mac.back() == '0' ? '1' : '0';
    CHECK(refusal(d, wrong) == "join token refused");
    PairingRequest unknown = ask(d, token);
    unknown.join->kid = "00000000deadbeef";
    CHECK(refusal(d, unknown) == "join token refused");
    PairingRequest other_name = ask(d, token);
    other_name.hostname = "web-02";
    CHECK(refusal(d, other_name) == "join token refused");
    CHECK(refusal(d, ask(d, token, "db-01")) == "join token is not for this host name");
    PairingRequest elsewhere = ask(d, token);
    elsewhere.ip = "192.0.2.1";
    CHECK(refusal(d, elsewhere) == "join token is not for this address");
    CHECK(refusal(d, ask(d, token), d.now + 3600) == "join token expired");
    CHECK(d.registry().list()->agents.empty());
    join(d, ask(d, token));
    CHECK(refusal(d, ask(d, token, "web-02")) == "join token used up");
    REQUIRE(*d.tokens().revoke(token.kid, d.now));
    CHECK_FALSE(*d.tokens().revoke(token.kid, d.now));
    CHECK(refusal(d, ask(d, token)) == "join token revoked");
    CHECK_FALSE(d.tokens().are_awaited(d.now));
}

TEST_CASE("the same request gets the same certificate again, and no use is taken") {
    const Dispatcher d;
    JoinTerms terms;
    terms.uses = 2;
    const JoinToken token = d.make(terms);
    const std::string csr = make_request({"web-01"}, new_ec_key());
    const Joined first = join(d, ask(d, token, "web-01", csr));
    const Joined again = join(d, ask(d, token, "web-01", csr));
    CHECK(again.again);
    CHECK(again.serial == first.serial);
    CHECK(*d.tokens().used(token.kid) == 1);
    // As after a crash between the redemption and the record.
    REQUIRE(d.registry().remove("web-01"));
    CHECK(join(d, ask(d, token, "web-01", csr)).serial == first.serial);
    CHECK(d.registry().find("web-01")->certificate_serial == first.serial);
    // Also when the token is used up and has expired.
    join(d, ask(d, token, "web-02"));
    CHECK(redeem_join(d.config, ask(d, token, "web-01", csr), d.offer, d.now + 4000)->serial == first.serial);
    REQUIRE(revoke_serial(d.config.revoked_serials(), first.serial, "test"));
    CHECK(refusal(d, ask(d, token, "web-01", csr)).find("revoked") != std::string::npos);
}

TEST_CASE("an agent that was unpaired does not come back by itself") {
    const Dispatcher d;
    const JoinToken token = d.make();
    const std::string csr = make_request({"web-01"}, new_ec_key());
    join(d, ask(d, token, "web-01", csr));
    const auto record = d.registry().find("web-01");
    REQUIRE(withdraw_redemption(d.config, *record, d.now));
    REQUIRE(withdraw_redemption(d.config, *record, d.now));
    REQUIRE(d.registry().remove("web-01"));
    CHECK(refusal(d, ask(d, token, "web-01", csr)).find("unpaired") != std::string::npos);
    CHECK(*d.tokens().used(token.kid) == 1);
}

TEST_CASE("a name that is taken stays so, unless the token may replace") {
    const Dispatcher d;
    JoinTerms terms;
    terms.uses = 5;
    const JoinToken plain = d.make(terms);
    terms.replace = true;
    const JoinToken replacing = d.make(terms);
    const std::string old_csr = make_request({"web-01"}, new_ec_key());
    const Joined old = join(d, ask(d, plain, "web-01", old_csr));
    const auto taken = redeem_join(d.config, ask(d, plain), d.offer, d.now);
    REQUIRE_FALSE(taken);
    CHECK(taken.error().code == Errc::exists);
    CHECK(refusal(d, ask(d, plain)) == "the name is taken");
    CHECK_FALSE(d.is_revoked(old.serial));
    const Joined fresh = join(d, ask(d, replacing));
    CHECK(fresh.replaced);
    CHECK(d.is_revoked(old.serial));
    CHECK(d.registry().find("web-01")->certificate_serial == fresh.serial);
    CHECK(refusal(d, ask(d, replacing, "web-01", old_csr)) == "none");  // of another token: anew
    CHECK(refusal(d, ask(d, plain, "web-01", old_csr)).find("replaced") != std::string::npos);
}

TEST_CASE("the same key with another request has one valid certificate") {
    const Dispatcher d;
    JoinTerms terms;
    terms.uses = 2;
    const JoinToken token = d.make(terms);
    const PrivateKey key = new_ec_key();
    const Joined first = join(d, ask(d, token, "web-01", make_request({"web-01"}, key)));
    const Joined second = join(d, ask(d, token, "web-01", make_request({"web-01"}, key)));
    CHECK(first.serial != second.serial);
    CHECK(d.is_revoked(first.serial));
    CHECK_FALSE(d.is_revoked(second.serial));
}

TEST_CASE("nothing is signed when the dispatcher's certificate is another than the agent was told") {
    Dispatcher d;
    const JoinToken token = d.make();
    d.offer.dispatcher_serial = "1234";
    const auto joined = redeem_join(d.config, ask(d, token), d.offer, d.now);
    REQUIRE_FALSE(joined);
    CHECK(joined.error().code == Errc::busy);
    CHECK(*d.tokens().used(token.kid) == 0);
}

TEST_CASE("tokens are forgotten a day after they have expired") {
    const Dispatcher d;
    const JoinToken token = d.make();
    join(d, ask(d, token));
    REQUIRE(d.tokens().purge(d.now + 3600 + 86399));
    CHECK(d.tokens().find(token.kid));
    REQUIRE(d.tokens().purge(d.now + 3600 + 86400));
    CHECK_FALSE(file_exists(d.tokens().directory(token.kid)));
    CHECK(d.registry().find("web-01"));
}

TEST_CASE("a damaged record of a token is told, and admits nobody") {
    const Dispatcher d;
    const JoinToken token = d.make();
    const std::string path = d.tokens().directory(token.kid) + "/token.json";
    for (const std::string text : {"", "{", "[]", R"({"kid":"00"})"}) {
        REQUIRE(write_file_atomic(path, text, 0600));
        CHECK(d.tokens().list()->problems.size() == 1);
        const auto joined = redeem_join(d.config, ask(d, token), d.offer, d.now);
        REQUIRE_FALSE(joined);
        CHECK(joined.error().message == "the dispatcher cannot check the join token");
    }
    for (const std::string kid : {"", "../../x", "00000000DEADBEEF", "0123456789abcde"})
        CHECK(d.tokens().find(kid).error().code == Errc::not_found);
}
