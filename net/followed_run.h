// A run whose caller sees the output as it comes.
#pragma once

#include <functional>
#include <string>

#include "core/spawn.h"
#include "net/agent_host.h"
#include "net/child.h"
#include "net/http_session.h"

namespace ctrlexec {

// Starts it at once; the answer is a stream of lines (application/x-ndjson): output, heartbeats while there
// is none, and at the end {"result": …} with what `result` makes of the outcome. A caller that goes away does
// not end the script.
HttpAnswer follow_run(AgentHost& host, SpawnPlan plan, std::string input, ChildLimits limits,
                      ChildEvents events, std::function<std::string(Result<ChildOutcome>)> result);

}  // namespace ctrlexec
