// The agent's side of pairing.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "core/agent_config.h"
#include "core/result.h"
#include "net/runtime.h"

namespace ctrlexec {

struct PairingIdentity {
    std::string key_pem, csr_pem;  // empty: none
};

struct PairingAttempt {
    std::string dispatcher;  // name or address
    int port = 0;
    std::chrono::seconds wait{0};  // for the operator
    bool new_key = false;          // even when this agent is paired and has one
    // A key that was made and not sent, for the next try: making one is work. Null: it is not kept.
    std::shared_ptr<PairingIdentity> spare;
    // Called once, when the dispatcher has queued the request.
    std::function<void(const std::string& reqid, const std::string& code)> queued;
};

// Checks that the certificate directory is writable before it connects; makes a key, asks, waits, verifies
// the answer and stores key, CA, trusted dispatchers and certificate (in this order, all staged first). An
// agent that is paired keeps its key, by which other dispatchers know it, unless `key_type` wants another.
//
// A dispatcher of the CA that this agent has is trusted beside those that are; one of another CA takes their
// place.
// Errc::denied when the operator or the dispatcher said no, busy when its queue is full, timed_out when
// nobody answered. Until it succeeds no file of an earlier pairing changes.
asio::awaitable<Result<void>> request_pairing(Runtime& runtime, AgentConfig config, PairingAttempt attempt);

}  // namespace ctrlexec
