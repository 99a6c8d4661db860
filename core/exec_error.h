// Why a program did not start, in words that say what to repair.
#pragma once

#include "core/result.h"
#include "core/spawn.h"
#include "core/spawn_child.h"

namespace ctrlexec {

// Errc::not_found for ENOENT, denied for EACCES, io for the rest. Looks at the file again, since ENOENT and
// EACCES have several causes each.
Error exec_error(const SpawnPlan& plan, const ExecFailure& failure);

}  // namespace ctrlexec
