// Changing scripts.conf by command: one line changes, all else stays as the operator wrote it.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace ctrlexec {

enum class AllowlistChange { none, added, replaced, removed };

// The text with `name = path settings` in it. The name's last line is the one that counts and is replaced,
// earlier ones go. Without settings the line keeps those it has. Errc::usage when the line would not be
// accepted, Errc::config when the settings that it has are wrong.
Result<std::string> allowed_in(std::string_view text, std::string_view name, std::string_view path,
                               std::string_view settings = {});

// The text without any line of that name.
std::string disallowed_in(std::string_view text, std::string_view name);

// The same on the file, under a lock beside it and atomically; owner and mode stay. The file is made when
// there is none and something is to be allowed.
Result<AllowlistChange> allow_in_file(const std::string& file, std::string_view name, std::string_view path,
                                      std::string_view settings = {});
Result<AllowlistChange> disallow_in_file(const std::string& file, std::string_view name);

}  // namespace ctrlexec
