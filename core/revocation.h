// Adding to revoked-serials, the list of core/serial_list.
#pragma once

#include <string>

#include "core/result.h"

namespace ctrlexec {

// Appends the serial, in normal form, with a comment behind it. False when the list has it already. Atomic,
// under the lock PATH.lock; a file that is there keeps its lines, owner and mode. Errc::too_large when the
// list would become larger than its readers accept.
Result<bool> revoke_serial(const std::string& path, const std::string& serial, const std::string& comment);

// What somebody typed: hex digits, DE:AD:… or 0x…. A short one, which could be a misspelt name, needs the
// 0x. Errc::usage.
Result<std::string> parse_serial_argument(const std::string& text);

}  // namespace ctrlexec
