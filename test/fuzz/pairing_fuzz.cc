// Pairing, version 2. The first byte says what the rest is: 'q' a request, 'r' a reveal, 'f' a first and 'l'
// a last answer, 't' a join token, 'p' a pin, 'k' the record of a token, 'w' a request that waits. In
// messages a word like
// @CA@ stands for what fits, for a fuzzer cannot make it. What is accepted holds what it promises, and means
// the same when it is written and read again.
#include <openssl/pem.h>

#include <array>
#include <string>
#include <utility>

#include "core/certificate_builder.h"
#include "core/csr.h"
#include "core/digest.h"
#include "core/hostname.h"
#include "core/join_token.h"
#include "core/join_tokens.h"
#include "core/openssl_support.h"
#include "core/pairing_answers.h"
#include "core/pairing_messages.h"
#include "core/pairing_proof.h"
#include "core/pairing_queue.h"
#include "core/serial.h"
#include "test/fuzz/crypto.h"
#include "test/fuzz/harness.h"

namespace ctrlexec::fuzz {
namespace {

constexpr std::int64_t first_second = -62167219200;  // 0000-01-01T00:00:00Z
constexpr std::int64_t last_second = 253402300799;   // 9999-12-31T23:59:59Z
constexpr std::int64_t now = 1'800'000'000;
constexpr std::size_t max_text = 256 * 1024;
constexpr std::string_view name = "web-01";

template <typename T>
T taken(Result<T> result) {
    require(result.has_value());
    return std::move(*result);
}

Certificate leaf_for(std::string common_name, std::string serial, const Certificate& authority) {
    auto built = build_leaf({std::move(common_name), std::move(serial), first_second, last_second},
                            test_key(), authority.native(), test_key());
    return Certificate::from_native(taken(std::move(built)).release());
}

// Both sides of one pairing, all with the harness's key.
struct Fixture {
    Certificate authority, leaf, certificate;
    PairingQuestion question;
    PairingRequest request;
    PairingOffer offer;
    std::string dispatcher_nonce = std::string(pairing_nonce_bytes, 'd');
    std::array<std::pair<std::string_view, std::string>, 8> words;
};

PairingQuestion make_question(const Certificate& authority) {
    KeptRequest kept;
    kept.key_pem = written_pem([](BIO* bio) {
        return PEM_write_bio_PrivateKey(bio, test_key(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    const PrivateKey key = taken(PrivateKey::from_pem(kept.key_pem, "key"));
    kept.csr_pem = taken(CertificateRequest::create(key, std::string(name))).to_pem();
    PairingProofs proofs;
    proofs.token = std::make_shared<JoinToken>(JoinToken{
        "0123456789abcdef", std::string(join_secret_bytes, 's'), CaPin{digest_of(authority.spki_der())}});
    proofs.pins.push_back(proofs.token->pin);
    return taken(PairingQuestion::create(std::string(name), kept, proofs));
}

Fixture make_fixture() {
    auto built = build_authority({"Fuzz CA", "01", first_second, last_second}, test_key());
    Certificate authority = Certificate::from_native(taken(std::move(built)).release());
    Certificate leaf = leaf_for("ctrl-exec", "02", authority);
    Certificate certificate = leaf_for(std::string(name), "03", authority);
    PairingQuestion question = make_question(authority);
    Fixture fixture{
        std::move(authority), std::move(leaf), std::move(certificate), std::move(question), {}, {}, {}, {}};
    fixture.dispatcher_nonce = std::string(pairing_nonce_bytes, 'd');
    fixture.request = taken(parse_pairing_body(fixture.question.body(fixture.leaf), false));
    fixture.request.id = "0123456789abcdef";
    fixture.request.ip = "127.0.0.1";
    fixture.offer = {fixture.authority.to_pem(), digest_of(fixture.authority.spki_der()),
                     digest_of(fixture.leaf.spki_der()), "00112233aabbccdd", fixture.leaf.serial()};
    const std::string key = join_key(fixture.question.proofs.token->secret, fixture.offer.ca_key_digest);
    fixture.words = {
        {{"@CA@", fixture.offer.ca_pem},
         {"@LEAF@", fixture.leaf.to_pem()},
         {"@CERT@", fixture.certificate.to_pem()},
         {"@CSR@", fixture.request.csr},
         {"@NONCE@", fixture.question.nonce},
         {"@SECRET@", to_hex({reinterpret_cast<const std::uint8_t*>(fixture.question.sas_nonce.data()),
                              fixture.question.sas_nonce.size()})},
         {"@COMMIT@", fixture.request.commit},
         {"@MAC@", join_answer_mac(key, fixture.question.nonce, digest_of(fixture.certificate.der()),
                                   fixture.offer.ca_key_digest, fixture.offer.dispatcher_serial,
                                   fixture.offer.dispatcher_id)}}};
    return fixture;
}

const Fixture& fixture() {
    static const Fixture fixture = make_fixture();
    return fixture;
}

// As it stands in a JSON string.
std::string escaped(std::string_view text) {
    const std::string dumped = json::dump(json::Value(text));
    return dumped.substr(1, dumped.size() - 2);
}

std::string filled(std::string_view text) {
    std::string result(text.substr(0, max_text / 8));
    for (const auto& [word, meaning] : fixture().words) {
        const std::string put = escaped(meaning);
        for (std::size_t at = result.find(word); at != std::string::npos && result.size() < max_text;
             at = result.find(word, at + put.size()))
            result.replace(at, word.size(), put);
    }
    return result;
}

bool is_hex(std::string_view text, std::size_t size) {
    return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

void check_queued(const json::Value& value) {
    const auto read = PairingRequest::from_json(value);
    if (!read) return;
    require(is_valid_reqid(read->id) && is_valid_hostname(read->hostname));
    const auto again = PairingRequest::from_json(read->to_json());
    require(again && json::dump(again->to_json()) == json::dump(read->to_json()));
    require(again->version == read->version && again->sas == read->sas && again->csr == read->csr);
}

void check_request(const std::string& text) {
    auto read = parse_pairing_body(text, false);
    if (!read) return;
    require(is_valid_hostname(read->hostname) && read->hostname != dispatcher_name);
    require(read->version == 1 || read->version == 2);
    require(is_hex(read->commit, read->version == 2 ? 64 : 0));
    require(!read->join ||
            (read->version == 2 && is_valid_kid(read->join->kid) && is_hex(read->join->mac, 64)));
    read->id = fixture().request.id;
    check_queued(read->to_json());
}

// One nonce only fits the commitment.
void check_revealed(const std::string& text) {
    const auto check = [](const std::string& body) {
        return check_reveal(fixture().request, fixture().offer, fixture().dispatcher_nonce, body);
    };
    const auto sas = check(text);
    if (sas) require(*sas == taken(check(fixture().question.reveal(fixture().request.id))));
}

PairingReceipt good_receipt() {
    const json::Value first = pending_answer(fixture().request, &fixture().offer, fixture().dispatcher_nonce);
    return taken(read_receipt(fixture().question, first, fixture().leaf, now));
}

void check_first(const json::Value& answer) {
    const auto receipt = read_receipt(fixture().question, answer, fixture().leaf, now);
    if (!receipt) return;
    require(is_valid_reqid(receipt->reqid) && receipt->version == 2);  // it has a token
    require(receipt->ca_der == fixture().authority.der() && receipt->sas.size() == 9);
    require(normalize_serial(receipt->dispatcher_serial) == fixture().leaf.serial());
}

void check_last(const json::Value& answer) {
    const auto pairing = read_decision(fixture().question, good_receipt(), answer, fixture().leaf, now);
    if (!pairing) return;
    require(pairing->certificate_pem == fixture().certificate.to_pem());  // of which the mac is
    require(pairing->ca_pem == fixture().authority.to_pem() && pairing->proof == PairingProof::token);
}

void check_token(std::string_view text) {
    const auto token = JoinToken::parse(text);
    if (!token) return;
    require(is_valid_kid(token->kid) && token->secret.size() == join_secret_bytes);
    require(token->pin.digest.size() == 32 && JoinToken::parse(token->text())->text() == token->text());
}

void check_pin(std::string_view text) {
    const auto pin = CaPin::parse(text);
    require(!pin || *CaPin::parse(pin->text()) == *pin);
}

void check_record(const json::Value& value) {
    const auto record = JoinTokenRecord::from_json(value);
    if (!record) return;
    require(is_valid_kid(record->kid) && record->key.size() == 32);
    require(record->terms.uses >= 1 && record->terms.uses <= max_join_uses);
    const auto again = JoinTokenRecord::from_json(record->to_json());
    require(again && json::dump(again->to_json()) == json::dump(record->to_json()));
}

}  // namespace

int fuzz_pairing(const std::uint8_t* data, std::size_t size) {
    const std::string_view input = text_of_input(data, size);
    if (input.empty()) return 0;
    const char kind = input.front();
    const std::string_view rest = input.substr(1);
    if (kind == 't') check_token(rest);
    if (kind == 'p') check_pin(rest);
    const std::string text = filled(rest);
    if (kind == 'q') check_request(text);
    if (kind == 'r') check_revealed(text);
    const auto value = json::parse(text, max_text);
    if (!value) return 0;
    if (kind == 'f') check_first(*value);
    if (kind == 'l') check_last(*value);
    if (kind == 'k') check_record(*value);
    if (kind == 'w') check_queued(*value);
    return 0;
}

}  // namespace ctrlexec::fuzz
