#include "core/pairing_answers.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/csr.h"
#include "core/digest.h"
#include "core/pairing_messages.h"
#include "core/pairing_proof.h"
#include "core/pairing_queue.h"
#include "core/sealing.h"
#include "core/serial.h"
#include "core/timestamp.h"
#include "core/trusted_dispatchers.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::string_view somebody = "; somebody may be in the path: nothing was stored";

Error bad(std::string_view what) {
    return fail(Errc::bad_answer, fmt::format("{}{}", what, somebody));
}

Result<Certificate> certificate_in(const json::Value& answer, std::string_view member,
                                   const std::string& what) {
    if (answer.text(member).empty()) return bad(what + " is missing");
    auto certificate = Certificate::from_pem(answer.text(member), what);
    if (!certificate) return bad(certificate.error().text());
    return certificate;
}

// What a dispatcher says instead of a receipt.
Error refusal(const json::Value& answer) {
    const std::string reason = printable(answer.scalar("reason"));
    const bool passes = reason == queue_full || reason == "rate limited" || reason == ca_does_not_fit ||
                        reason == dispatcher_failed;
    return fail(passes ? Errc::busy : Errc::denied,
                fmt::format("the dispatcher refused the request: {}", reason));
}

Result<int> read_version(const json::Value& answer) {
    const json::Value* const version = answer.find("pair_v");
    if (version == nullptr) return 1;
    const std::int64_t* const number = version->if_integer();
    if (number != nullptr && *number >= 1) return *number >= 2 ? 2 : 1;
    return fail(Errc::bad_answer,
                "the dispatcher's answer has a pair_v that is no version: is this its "
                "pairing port?");
}

// Whether what the agent was told to demand can be had from a dispatcher of the first version.
Result<void> accept_first_version(const PairingProofs& proofs) {
    const bool token = proofs.token != nullptr;
    if (!token && (!proofs.pins.empty() || !proofs.check_code)) return success();
    return fail(
        Errc::bad_answer,
        fmt::format("the dispatcher does not speak pairing version 2, which {} needs; somebody in the "
                    "path may pretend that: update the dispatcher, or give the agent its CA's pin "
                    "(--ca-pin{})",
                    token ? "a join token" : "pair_trust = sas", token ? ", without the token" : ""));
}

// Not for ever: a wrong clock is set, and whoever waits asks again.
Result<void> check_dates(std::string_view what, const Certificate& certificate, std::int64_t now) {
    if (now >= certificate.not_before() && now <= certificate.not_after()) return success();
    return fail(
        Errc::tls_failed,
        fmt::format("{} is valid from {} to {}, and the clock here says {}: correct this clock or the "
                    "dispatcher's, or renew that certificate there",
                    what, iso8601(certificate.not_before()), iso8601(certificate.not_after()), iso8601(now)));
}

// The leaf is of this CA, valid now, and has the serial that was told.
Result<void> check_leaf(const Certificate& leaf, const Certificate& authority, std::string_view serial,
                        std::int64_t now) {
    TRY_DO(check_dates("the dispatcher's certificate", leaf, now));
    TRY_DO(check_dates("the dispatcher's CA certificate", authority, now));
    if (const auto chain = leaf.verify(authority, now); !chain) {
        return bad(fmt::format("the TLS server's certificate is not of the CA that it names ({})",
                               chain.error().text()));
    }
    const auto normal = normalize_serial(serial);
    if (!normal) return bad("the dispatcher serial in the answer is no hex number");
    if (*normal != leaf.serial()) return bad("the TLS server's certificate has another serial than it says");
    return success();
}

// A pin says which CA, and each agent has a certificate of that: the name tells them from dispatchers.
Result<void> check_pin(const PairingProofs& proofs, const Certificate& leaf, const std::string& ca_digest) {
    if (proofs.pins.empty()) return success();
    const CaPin found{ca_digest};
    if (std::find(proofs.pins.begin(), proofs.pins.end(), found) == proofs.pins.end()) {
        return fail(Errc::bad_answer,
                    fmt::format("whoever answered has a CA with another pin ({}) than {}; "
                                "compare with ctrl-exec-dispatcher ca-pin{}",
                                found.text(), proofs.token ? "the join token" : "--ca-pin names", somebody));
    }
    // With a token too: an agent of the same fleet has it, and a certificate of the same CA.
    if (leaf.common_name() != dispatcher_name) {
        return bad(
            fmt::format("the TLS server's certificate is of the pinned CA, but for '{}', not a "
                        "dispatcher's",
                        printable(leaf.common_name())));
    }
    return success();
}

Result<void> check_join_mac(const PairingQuestion& question, const PairingReceipt& receipt,
                            const json::Value& answer, const Certificate& certificate) {
    if (!question.proofs.token) return success();
    std::string key = join_key(question.proofs.token->secret, receipt.ca_key_digest);
    const std::string expected =
        join_answer_mac(key, question.nonce, digest_of(certificate.der()), receipt.ca_key_digest,
                        receipt.dispatcher_serial, receipt.dispatcher_id);
    wipe(key);
    if (equal_constant_time(answer.text("join_mac"), expected)) return success();
    return bad("the answer does not prove that the dispatcher knows the join token");
}

// Of version 2: what the first answer has said must hold to the end.
Result<void> check_same(const PairingReceipt& receipt, const json::Value& answer,
                        const Certificate& authority) {
    const json::Value* const version = answer.find("pair_v");
    const std::int64_t* const number = version == nullptr ? nullptr : version->if_integer();
    if (number == nullptr || *number < 2) return bad("the last answer is not of pairing version 2");
    if (authority.der() != receipt.ca_der) return bad("the last answer has another CA than the first");
    if (answer.text("dispatcher_serial") != receipt.dispatcher_serial)
        return bad("the last answer has another dispatcher serial than the first");
    if (answer.text("dispatcher_id") != receipt.dispatcher_id)
        return bad("the last answer has another dispatcher id than the first");
    return success();
}

// Of version 1: a pin can be proven with the last answer only; without one everything is taken.
Result<void> check_first_version(const PairingQuestion& question, NewPairing& pairing,
                                 const json::Value& answer, const Certificate& leaf,
                                 const Certificate& authority, std::int64_t now) {
    const std::string serial = answer.scalar("dispatcher_serial");
    pairing.dispatcher_id = answer.text("dispatcher_id");
    if (!pairing.dispatcher_id.empty() && !is_valid_dispatcher_id(pairing.dispatcher_id))
        return fail(Errc::bad_answer, "the dispatcher's id in the answer is not valid");
    if (!question.proofs.pins.empty()) {
        TRY_DO(check_pin(question.proofs, leaf, digest_of(authority.spki_der())));
        TRY_DO(check_leaf(leaf, authority, serial, now));
    }
    if (serial.empty()) return success();
    const auto normal = normalize_serial(serial);
    if (!normal) return fail(Errc::bad_answer, "the dispatcher serial in the answer is no hex number");
    pairing.dispatcher_serial = *normal;
    return success();
}

Result<void> check_status(const PairingQuestion& question, const json::Value& answer) {
    const std::string_view status = answer.text("status");
    if (status == "denied") {
        const std::string reason = printable(answer.scalar("reason"));
        const bool passes = reason == "approval timeout" || reason == "no reveal";
        return fail(passes ? Errc::timed_out : Errc::denied, "pairing denied: " + reason);
    }
    if (status == "error") {  // of the dispatcher, not of the request
        return fail(Errc::busy,
                    "the dispatcher cannot give a certificate now: " + printable(answer.scalar("reason")));
    }
    if (status != "approved") return fail(Errc::bad_answer, "the dispatcher neither approved nor denied");
    if (equal_constant_time(answer.text("nonce"), question.nonce)) return success();
    return fail(Errc::bad_answer,
                "the answer has another nonce than our request: somebody may be in the path");
}

}  // namespace

Result<PairingQuestion> PairingQuestion::create(std::string hostname, KeptRequest request,
                                                PairingProofs proofs) {
    TRY(const CertificateRequest csr, CertificateRequest::from_pem(request.csr_pem));
    PairingQuestion question;
    question.hostname = std::move(hostname);
    question.request = std::move(request);
    question.proofs = std::move(proofs);
    question.csr_digest = digest_of(csr.der());
    question.nonce = random_hex(16);
    question.sas_nonce = random_bytes(pairing_nonce_bytes);
    return question;
}

std::string PairingQuestion::body(const Certificate& leaf) const {
    json::Object body{{"hostname", hostname},
                      {"csr", request.csr_pem},
                      {"nonce", nonce},
                      {"pair_v", 2},
                      {"sas_commit", sas_commitment(sas_nonce, csr_digest)}};
    if (port != 0 && port != 7443) body.push_back({"agent_port", port});
    if (proofs.token) {
        // For the CA of the token: a dispatcher of another one cannot make anything of it.
        std::string key = join_key(proofs.token->secret, proofs.token->pin.digest);
        std::string mac = join_request_mac(key, nonce, csr_digest, digest_of(leaf.spki_der()), hostname);
        wipe(key);
        body.push_back({"join", json::Object{{"kid", proofs.token->kid}, {"mac", std::move(mac)}}});
    }
    return json::dump(json::Value(std::move(body)));
}

std::string PairingQuestion::reveal(const std::string& reqid) const {
    return json::dump(json::Value(json::Object{{"reqid", reqid}, {"sas_nonce", hex_of(sas_nonce)}}));
}

Result<PairingReceipt> read_receipt(const PairingQuestion& question, const json::Value& answer,
                                    const Certificate& leaf, std::int64_t now) {
    if (answer.text("status") == "error") return refusal(answer);
    if (answer.text("status") != "pending")
        return fail(Errc::bad_answer, "the dispatcher did not queue the request");
    PairingReceipt receipt;
    // Nobody has authenticated this peer, and the id goes to terminals and into shell variables.
    receipt.reqid = answer.scalar("reqid");
    if (!is_valid_reqid(receipt.reqid))
        return fail(Errc::bad_answer, "the dispatcher's receipt has no valid request id");
    TRY(receipt.version, read_version(answer));
    if (receipt.version == 1) {
        TRY_DO(accept_first_version(question.proofs));
        return receipt;
    }
    TRY(const Certificate authority, certificate_in(answer, "ca", "the CA in the dispatcher's answer"));
    if (const std::string defect = authority.defect_as_authority(); !defect.empty())
        return bad("the CA in the dispatcher's answer " + defect);
    receipt.ca_der = authority.der();
    receipt.ca_key_digest = digest_of(authority.spki_der());
    TRY_DO(check_pin(question.proofs, leaf, receipt.ca_key_digest));
    receipt.dispatcher_serial = answer.text("dispatcher_serial");
    TRY_DO(check_leaf(leaf, authority, receipt.dispatcher_serial, now));
    receipt.dispatcher_id = answer.text("dispatcher_id");
    if (!is_valid_dispatcher_id(receipt.dispatcher_id))
        return bad("the dispatcher's id in the answer is not valid");
    const auto nonce = from_hex(answer.text("sas_nonce"));
    if (!nonce || nonce->size() != pairing_nonce_bytes)
        return bad("the answer has no sas_nonce of 64 hex digits");
    PairingTranscript transcript{question.csr_digest, receipt.ca_key_digest, digest_of(leaf.spki_der()),
                                 question.hostname,   receipt.dispatcher_id, receipt.dispatcher_serial,
                                 receipt.reqid};
    receipt.sas = short_authentication_string(question.sas_nonce, *nonce, transcript);
    return receipt;
}

Result<NewPairing> read_decision(const PairingQuestion& question, const PairingReceipt& receipt,
                                 const json::Value& answer, const Certificate& leaf, std::int64_t now) {
    TRY_DO(check_status(question, answer));
    TRY(const Certificate certificate, certificate_in(answer, "cert", "the certificate in the answer"));
    TRY(const Certificate authority, certificate_in(answer, "ca", "the CA in the answer"));
    NewPairing pairing;
    pairing.hostname = question.hostname;
    pairing.key_pem = question.request.key_pem;
    pairing.certificate_pem = certificate.to_pem();
    pairing.ca_pem = authority.to_pem();
    pairing.dispatcher = question.dispatcher;
    pairing.reqid = receipt.reqid;
    pairing.sas = receipt.sas;
    pairing.version = receipt.version;
    if (receipt.version == 1) {
        TRY_DO(check_first_version(question, pairing, answer, leaf, authority, now));
    } else {
        TRY_DO(check_same(receipt, answer, authority));
        TRY_DO(check_join_mac(question, receipt, answer, certificate));
        pairing.dispatcher_id = receipt.dispatcher_id;
        pairing.dispatcher_serial = leaf.serial();
    }
    TRY_DO(check_dates("the certificate in the answer", certificate, now));
    TRY_DO(check_pairing(pairing, now));
    if (question.proofs.token) {
        pairing.proof = PairingProof::token;
    } else if (!question.proofs.pins.empty()) {
        pairing.proof = PairingProof::pin;
    }
    return pairing;
}

}  // namespace ctrlexec
