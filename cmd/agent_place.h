// Options that say where an agent is: of approve and edit-agent.
#pragma once

#include <optional>
#include <string>

#include "cmd/applet.h"
#include "core/result.h"

namespace ctrlexec {

// --agent-port; 0 for "default", nothing when it is not given. Errc::usage.
Result<std::optional<int>> agent_port_option(const Invocation& call);

// --lookup-by: "ip" or "hostname". Errc::usage.
Result<std::optional<std::string>> lookup_option(const Invocation& call);

}  // namespace ctrlexec
