// Asking for a certificate until there is an answer: an agent that starts before its dispatcher listens.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "core/agent_config.h"
#include "core/file.h"
#include "core/result.h"
#include "net/pairing_client.h"
#include "net/runtime.h"

namespace ctrlexec {

struct PairingWait {
    PairingAttempt attempt;  // of each try; all have the same key, and `queued` is called for each
    std::chrono::milliseconds first_pause{1000};  // doubled after each failure, shortened at random
    std::chrono::milliseconds longest_pause{30'000};
    // What proves the dispatcher, asked before each try: a token's file may be replaced. Errc::not_found when
    // it is not there yet. Null: what `attempt` has.
    std::function<Result<PairingProofs>()> proofs;
    // Asked once nobody else asks for the same certificate: whether there is one now. May be null.
    std::function<bool()> settled;
    // The kind of failure has changed; called once for each change, not for each try (but for certificates
    // whose dates are wrong, and the like: the words differ).
    std::function<void(const Error&)> waiting;
};

struct WaitedPairing {
    std::optional<NewPairing> pairing;  // nothing: `settled` has said so
    std::optional<FileLock> lock;       // to be held until the pairing is stored
};

// Success once there is an answer, which is not stored yet, or `settled` says so. Errc::cancelled on SIGTERM
// and SIGINT, at any moment. What waiting cannot mend ends it: denied, a local file, an answer that is none.
// A lock beside the certificate keeps a second process waiting until the first has ended. To be awaited by
// Runtime::run's main: what is under way when it returns ends with the Runtime.
asio::awaitable<Result<WaitedPairing>> wait_for_pairing(Runtime& runtime, AgentConfig config,
                                                        PairingWait wait);

// Until a staged answer has been confirmed, which is success. Errc::denied when it was discarded, timed_out
// when it is too old, config when it cannot be used any more, cancelled as above.
asio::awaitable<Result<void>> wait_for_confirmation(Runtime& runtime, AgentConfig config);

// Who holds this lock asks for the certificate.
std::string pairing_lock_path(const AgentConfig& config);

// The pause after so many failures in a row: between a half and the whole of first_pause * 2^failures, at
// most longest_pause. `chance` is in [0, 1).
std::chrono::milliseconds pairing_pause(const PairingWait& wait, int failures, double chance);

// Whether asking again can help.
bool is_passing(Errc code);

}  // namespace ctrlexec
