// ctrl-exec-serial: the certificate serial of the dispatcher that an agent obeys.
#pragma once

#include <string>
#include <vector>

#include "core/result.h"

namespace ctrlexec {

// In normal form (core/serial.h). A missing or empty file trusts nobody; one that holds something else than a
// serial in hex on its first line is Errc::config.
Result<std::vector<std::string>> load_trusted_serials(const std::string& path);

}  // namespace ctrlexec
