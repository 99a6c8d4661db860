// An answer that waits for somebody at the agent to say that the dispatcher shows the same check code.
#pragma once

#include <string>

#include "core/agent_config.h"
#include "core/new_pairing.h"
#include "core/result.h"

namespace ctrlexec {

inline constexpr std::int64_t staged_lifetime = 3600;  // seconds

std::string staged_pairing_path(const AgentConfig& config);  // beside the key

// Mode 0600, fsynced; in place of an earlier one.
Result<void> stage_pairing(const AgentConfig& config, const NewPairing& pairing, std::int64_t now);

struct StagedPairing {
    NewPairing pairing;
    std::int64_t until = 0;  // seconds since the epoch
};

// Errc::not_found when there is none, timed_out when it is too old. Errc::config when it cannot be used: not
// ours alone, broken, for another host name.
Result<StagedPairing> load_staged_pairing(const AgentConfig& config, std::int64_t now);

// Whether `typed` is that check code: 8 digits, with or without the dash.
bool is_check_code(std::string_view typed, std::string_view sas);

}  // namespace ctrlexec
