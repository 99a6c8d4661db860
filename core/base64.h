// Base64 (RFC 4648, section 4, with padding).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ctrlexec {

std::string base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);  // strict: no blanks, correct padding

}  // namespace ctrlexec
