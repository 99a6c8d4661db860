// What an agent tells its dispatchers apart by, whatever certificates they have had.
#pragma once

#include <string>

#include "core/result.h"

namespace ctrlexec {

// 16 hex digits, from `state_dir`/dispatcher-id; made on first need. Several processes agree on one.
// Errc::config when the file holds something else.
Result<std::string> dispatcher_id(const std::string& state_dir);

}  // namespace ctrlexec
