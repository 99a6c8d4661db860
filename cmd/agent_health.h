// Whether the agent that serves here answers.
#pragma once

#include <chrono>

#include "core/agent_config.h"
#include "core/result.h"

namespace ctrlexec {

// Mutual TLS with the agent's own certificate, as a dispatcher does it; `timeout` bounds connecting and the
// answer each. Errc::config when it cannot be reached that way: on a port that is not known, or by
// `allowed_ips`.
Result<void> ping_self(const AgentConfig& config, std::chrono::seconds timeout);

}  // namespace ctrlexec
