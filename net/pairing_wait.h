// Asking for a certificate until there is an answer: an agent that starts before its dispatcher listens.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "core/agent_config.h"
#include "core/result.h"
#include "net/pairing_client.h"
#include "net/runtime.h"

namespace ctrlexec {

struct PairingWait {
    PairingAttempt attempt;  // of each try; each has a new key, so `queued` is called for each
    std::chrono::milliseconds first_pause{1000};  // doubled after each failure, shortened at random
    std::chrono::milliseconds longest_pause{30'000};
    // Asked once nobody else asks for the same certificate: whether there is one now. May be null.
    std::function<bool()> settled;
    // The kind of failure has changed; called once for each change, not for each try.
    std::function<void(const Error&)> waiting;
};

// Success once a certificate is stored, or `settled` says so. Errc::cancelled on SIGTERM and SIGINT, at any
// moment. What waiting cannot mend ends it: denied, a local file, an answer that is none. A lock beside the
// certificate keeps a second process waiting until the first has ended. To be awaited by Runtime::run's main:
// what is under way when it returns ends with the Runtime.
asio::awaitable<Result<void>> wait_for_pairing(Runtime& runtime, AgentConfig config, PairingWait wait);

// Who holds this lock asks for the certificate.
std::string pairing_lock_path(const AgentConfig& config);

// The pause after so many failures in a row: between a half and the whole of first_pause * 2^failures, at
// most longest_pause. `chance` is in [0, 1).
std::chrono::milliseconds pairing_pause(const PairingWait& wait, int failures, double chance);

// Whether asking again can help.
bool is_passing(Errc code);

}  // namespace ctrlexec
