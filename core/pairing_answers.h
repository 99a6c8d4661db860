// The agent's side of pairing, without the network: what it asks, and what it demands of the two answers.
// docs/pairing-protocol.md has the messages.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/certificate.h"
#include "core/join_token.h"
#include "core/json.h"
#include "core/kept_request.h"
#include "core/new_pairing.h"
#include "core/result.h"

namespace ctrlexec {

// What the agent knows of the dispatcher before it asks.
struct PairingProofs {
    std::vector<CaPin> pins;  // one of them must fit, when there are any; a token's is among them
    std::shared_ptr<const JoinToken> token;  // may be null
    bool check_code = false;  // without pin and token, one is needed: an old dispatcher will not do
};

// One attempt.
struct PairingQuestion {
    std::string hostname;
    int port = 0;  // where we serve; 0 or 7443 is not told
    KeptRequest request;
    PairingProofs proofs;
    std::string csr_digest;
    std::string nonce;       // hex, as sent
    std::string sas_nonce;   // raw; sent only when the dispatcher's is known
    std::string dispatcher;  // name and port, for people

    // With new nonces. Errc::crypto.
    static Result<PairingQuestion> create(std::string hostname, KeptRequest request, PairingProofs proofs);
    std::string body(const Certificate& leaf) const;
    std::string reveal(const std::string& reqid) const;  // the body of /pair/reveal
};

// The first answer, as far as it holds.
struct PairingReceipt {
    std::string reqid;
    int version = 1;
    std::string dispatcher_id, dispatcher_serial;  // of version 2, as sent
    std::string ca_der;
    std::string ca_key_digest;
    std::string sas;  // the check code
};

// `leaf` is the certificate that the TLS server has shown. Errc::busy and denied when the dispatcher has
// refused; tls_failed when only a wrong clock can be the reason; bad_answer, with what is wrong and what to
// do, for everything else.
Result<PairingReceipt> read_receipt(const PairingQuestion& question, const json::Value& answer,
                                    const Certificate& leaf, std::int64_t now);

// The last answer. Errc::denied and timed_out are the operator's; the rest as above.
Result<NewPairing> read_decision(const PairingQuestion& question, const PairingReceipt& receipt,
                                 const json::Value& answer, const Certificate& leaf, std::int64_t now);

}  // namespace ctrlexec
