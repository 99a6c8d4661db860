// The agent's side of pairing.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "core/agent_config.h"
#include "core/new_pairing.h"
#include "core/pairing_answers.h"
#include "core/result.h"
#include "net/runtime.h"

namespace ctrlexec {

struct QueuedRequest {
    std::string reqid;
    std::string code;  // six digits
    std::string sas;   // the check code, "" in version 1
    bool by_token = false;
};

struct PairingAttempt {
    std::string dispatcher;  // name or address
    int port = 0;
    std::chrono::seconds wait{0};  // for the operator
    PairingProofs proofs;
    bool new_key = false;  // even when this agent is paired and has one, or has asked before
    // A try before this one has kept what it asked with: that counts, also beside the key of a paired agent.
    bool again = false;
    std::function<void(std::string_view warning)> warn;  // may be null
    std::function<void(const QueuedRequest&)> queued;    // called once, when the dispatcher has it; or null
};

// Checks that the certificate directory is writable before it connects; makes a key, keeps it for the next
// try (core/kept_request.h), asks, waits, and verifies the answer. Nothing is stored: store_pairing() does
// that. An agent that is paired keeps its key, by which other dispatchers know it, unless `key_type` wants
// another.
//
// Errc::denied when the operator or the dispatcher said no, busy when its queue is full or it is told too
// much, timed_out when nobody answered, bad_answer when who answered cannot be the dispatcher.
asio::awaitable<Result<NewPairing>> request_pairing(Runtime& runtime, AgentConfig config,
                                                    PairingAttempt attempt);

}  // namespace ctrlexec
