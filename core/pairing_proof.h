// The hashes of pairing, version 2: what binds its messages to each other, to the keys of both sides and to
// the TLS connection. docs/pairing-protocol.md has the layouts.
//
// Digests and nonces are raw bytes here; commitments and macs lower-case hex, as on the wire. In each hash a
// label, where there is one, is followed by a zero byte, and every other item has its length in front (32
// bits, big-endian), so that no two lists of items give the same bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ctrlexec {

inline constexpr std::size_t pairing_nonce_bytes = 32;

// SHA-256 as bytes.
std::string digest_of(std::string_view data);

// What the agent says before it has seen the dispatcher's nonce: hex.
std::string sas_commitment(std::string_view agent_nonce, std::string_view csr_digest);

// All that both sides must agree on.
struct PairingTranscript {
    std::string csr_digest;       // SHA-256 of the certificate request's DER
    std::string ca_key_digest;    // SHA-256 of the CA's SubjectPublicKeyInfo
    std::string leaf_key_digest;  // likewise of the TLS server's certificate, as each side sees it
    std::string hostname;
    std::string dispatcher_id;
    std::string dispatcher_serial;  // as in the first answer
    std::string reqid;
};

// The short authentication string, "4831-1920": people compare it.
std::string short_authentication_string(std::string_view agent_nonce, std::string_view dispatcher_nonce,
                                        const PairingTranscript& transcript);

// "4831-1920" of what a person has typed, with or without the dash; "" when it is no check code.
std::string check_code_of(std::string_view typed);

// What is kept of a join token's secret: 32 bytes, as secret as the token.
std::string join_key(std::string_view secret, std::string_view ca_key_digest);

// The agent has the token; `nonce` is that of its request, as sent.
std::string join_request_mac(std::string_view join_key, std::string_view nonce, std::string_view csr_digest,
                             std::string_view leaf_key_digest, std::string_view hostname);

// The dispatcher has it too.
std::string join_answer_mac(std::string_view join_key, std::string_view nonce,
                            std::string_view certificate_digest, std::string_view ca_key_digest,
                            std::string_view dispatcher_serial, std::string_view dispatcher_id);

}  // namespace ctrlexec
