// Pairing as commands show it: what is printed and asked, and what is logged at its end.
#pragma once

#include <functional>
#include <string>

#include "cmd/applet.h"
#include "core/agent_config.h"
#include "core/new_pairing.h"
#include "core/proof_sources.h"
#include "core/result.h"
#include "net/pairing_client.h"

namespace ctrlexec {

inline constexpr int max_pairing_wait = 600;  // seconds: the dispatcher drops older requests
inline constexpr int exit_staged = 4;         // approved, but nobody has confirmed the check code

enum class PairingEnd {
    stored,
    staged,  // until pairing-confirm
};

// Whether somebody may be asked who sits at the terminal, if this is one.
enum class Asking { never, on_terminal };

// Asks once, and stores or stages the answer: a check code that nobody has compared needs somebody here to
// confirm it, unless pair_trust is tofu; then it is said what nobody has checked.
Result<PairingEnd> pair_once(const Invocation& call, const AgentConfig& config, PairingAttempt attempt,
                             const ProofSources& sources, Asking asking);

// Asks until there is an answer, see wait_for_pairing(); says on stderr why there is none yet. `settled` in
// another process counts as stored.
Result<PairingEnd> pair_waiting(const Invocation& call, const AgentConfig& config, PairingAttempt attempt,
                                const ProofSources& sources, Asking asking, std::function<bool()> settled);

// Stores what somebody or something has proven, and logs it.
Result<void> store_and_log(const AgentConfig& config, const NewPairing& pairing);

// Id and codes of a queued request, and what the operator does with them.
void print_queued(const QueuedRequest& request);
void print_paired(const AgentConfig& config);
void print_staged();

// The exit code of a wait that has failed: a container that is told to stop while it waits has done nothing
// wrong.
int report_wait(const Invocation& call, const Error& error);

}  // namespace ctrlexec
