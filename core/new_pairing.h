// What an agent has been given when it paired, before and after it counts.
#pragma once

#include <string>

#include "core/agent_config.h"
#include "core/result.h"

namespace ctrlexec {

// What has shown that the dispatcher answered, and not somebody in the path.
enum class PairingProof : std::uint8_t { none, check_code, pin, token };
std::string_view trust_word(PairingProof proof);  // as in logs: tofu, sas, pin, token

// All of it has been checked but for who gave it, where `proof` is none.
struct NewPairing {
    std::string hostname;
    std::string key_pem, certificate_pem, ca_pem;
    std::string dispatcher_id;      // "" from an old dispatcher
    std::string dispatcher_serial;  // normal form, "" from an old one that told none
    std::string dispatcher;         // whom we asked: name and port
    std::string reqid;
    std::string sas;  // the check code, "" in version 1
    int version = 1;
    PairingProof proof = PairingProof::none;
};

// The certificate is for this key, and the CA has signed it. Errc::bad_answer.
Result<void> check_pairing(const NewPairing& pairing, std::int64_t now);

// Checks once more, then writes key, CA, trusted dispatchers and certificate, all staged first; then what was
// kept of the request (core/kept_request.h) and a staged answer go.
//
// A dispatcher of the CA that this agent has is trusted beside those that are; one of another CA takes their
// place.
Result<void> store_pairing(const AgentConfig& config, const NewPairing& pairing, std::int64_t now);

}  // namespace ctrlexec
