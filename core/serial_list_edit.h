// Adding to a revoked-serials file.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/result.h"

namespace ctrlexec {

// Appends the serials (normal form) that the list does not hold, and keeps everything else in the file, its
// owner and mode. Returns how many were added. Errc::too_large when the file would be. Blocking.
Result<std::size_t> add_serials(const std::string& path, const std::vector<std::string>& serials);

}  // namespace ctrlexec
