// A secret that is given by a variable, or, better, by a file that a second variable names: FOO or FOO_FILE.
// A file (a container secret) does not appear in `docker inspect` or /proc/PID/environ.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "core/result.h"

namespace ctrlexec {

inline constexpr std::size_t max_secret_bytes = 64 * 1024;

// The value of `variable`, or the content of the file that `variable`_FILE names, without line ends at its
// end; nothing when neither is set, or both are empty. Errc::config when both are set, and when the file
// cannot be read, is not a regular file, empty, longer than the limit, or holds a control character.
Result<std::optional<std::string>> secret_from_environment(const std::string& variable);

}  // namespace ctrlexec
