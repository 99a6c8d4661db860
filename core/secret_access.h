// Who may read a file that holds a secret.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace ctrlexec {

inline constexpr std::string_view container_secrets = "/run/secrets";

// Errc::crypto when everybody may access the file (mode & 0007). Container secrets are mounted with mode 0444
// and cannot be changed: a file that, symlinks resolved, lies below `secrets` in directories that not
// everybody may write, may be read by everybody. `kind` is what the message calls it: "private key".
Result<void> check_secret_access(const std::string& path, std::string_view kind,
                                 std::string_view secrets = container_secrets);

}  // namespace ctrlexec
