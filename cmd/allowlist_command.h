// What `allow` and `disallow` share.
#pragma once

#include <string>

#include "cmd/applet.h"
#include "core/agent_config.h"
#include "core/result.h"

namespace ctrlexec {

// The agent's configuration, with --allowlist applied.
Result<AgentConfig> load_agent_config(const Invocation& call);

// Lets the agent that serves here work with the changed file, and says so; none being there is no failure.
// Returns the exit code.
int reload_after_change(const Invocation& call, const AgentConfig& config);

}  // namespace ctrlexec
