// Pairing as commands show it: what is printed, and what is logged at its end.
#pragma once

#include <functional>
#include <string>

#include "cmd/applet.h"
#include "core/agent_config.h"
#include "core/result.h"
#include "net/pairing_client.h"

namespace ctrlexec {

inline constexpr int max_pairing_wait = 600;  // seconds: the dispatcher drops older requests

// Asks once.
Result<void> pair_once(const AgentConfig& config, PairingAttempt attempt);

// Asks until there is an answer, see wait_for_pairing(); says on stderr why there is none yet.
Result<void> pair_waiting(const Invocation& call, const AgentConfig& config, PairingAttempt attempt,
                          std::function<bool()> settled);

// Id and code of a queued request, and what the operator does with them.
void print_queued(const std::string& reqid, const std::string& code);
void print_paired(const AgentConfig& config);

// The exit code of a wait that has failed: a container that is told to stop while it waits has done nothing
// wrong.
int report_wait(const Invocation& call, const Error& error);

}  // namespace ctrlexec
