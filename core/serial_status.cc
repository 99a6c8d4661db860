#include "core/serial_status.h"

#include <algorithm>

#include "core/serial.h"

namespace ctrlexec {

std::string_view serial_status(const AgentRecord& agent, std::string_view serial, const RotationState& state,
                               std::int64_t now) {
    const std::string trusted = normalize_serial(agent.dispatcher_serial).value_or("");
    if (trusted.empty()) return "unknown";
    const bool rotating = !state.pending_serial.empty() && state.pending_serial != serial;
    if (rotating && trusted == state.pending_serial) return "current";
    if (trusted == serial) return rotating ? "pending" : "current";
    const bool was_ours = trusted == state.previous_serial || trusted == state.current_serial ||
                          std::find(state.kept.begin(), state.kept.end(), trusted) != state.kept.end();
    if (!was_ours) return "unknown";
    return state.in_overlap(now) ? "pending" : "stale";
}

}  // namespace ctrlexec
