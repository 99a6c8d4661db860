// Temporary files of writers that were killed.
#pragma once

#include <cstdint>
#include <string>

#include "core/result.h"

namespace ctrlexec {

// Removes the temporary files beside `path` that an atomic write of it left behind and that were last written
// at least `min_age` seconds ago. With 0 the caller must hold a lock that every writer of `path` takes.
Result<void> remove_leftovers(const std::string& path, std::int64_t min_age);

}  // namespace ctrlexec
