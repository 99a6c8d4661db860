// Small files that an agent keeps for itself: one JSON object, with a secret in it.
#pragma once

#include <string>

#include "core/json.h"
#include "core/result.h"

namespace ctrlexec {

// Errc::not_found when there is none. Errc::config when it is not a regular file of ours that nobody else may
// access, or holds something else: whoever could put it there must not choose our key.
Result<json::Value> read_own_file(const std::string& path);

}  // namespace ctrlexec
