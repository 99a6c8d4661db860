// How a script of the allowlist is started: its settings, resolved on this host at the time of the start.
#pragma once

#include "core/approved_program.h"
#include "core/result.h"
#include "core/script_settings.h"
#include "core/spawn.h"

namespace ctrlexec {

// Everything but the arguments. Errc::config when the user or group is unknown or we may not switch to it;
// nothing has been started then, and the message may be shown to the peer.
Result<SpawnPlan> plan_script(ApprovedProgram program, const ScriptSettings& settings);

}  // namespace ctrlexec
