// The identity of an agent.
#pragma once

#include "core/agent_config.h"
#include "core/identity.h"
#include "core/result.h"

namespace ctrlexec {

// Reads the three files; the key must be the certificate's, and the CA must have signed it. Errc::not_found
// when there is no certificate: the agent is not paired. Errc::config for everything else, with the remedy.
Result<Identity> load_agent_identity(const AgentConfig& config);

}  // namespace ctrlexec
