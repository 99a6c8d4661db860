// What an agent knows of the dispatcher's certificate, told from facts: the serial that the agent is known to
// trust, and the serials of the dispatcher.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/registry.h"
#include "core/rotation_state.h"

namespace ctrlexec {

// "current": it trusts the certificate in use, and the staged one when there is one. "pending": it has still
// to learn of the newest. "stale": it has missed a rotation whose overlap is over. "unknown": nothing is
// known. `serial` is that of the certificate in use.
std::string_view serial_status(const AgentRecord& agent, std::string_view serial, const RotationState& state,
                               std::int64_t now);

}  // namespace ctrlexec
