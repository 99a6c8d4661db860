// Base32 (RFC 4648, section 6) without padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ctrlexec {

std::string base32(std::string_view bytes);

// Letters of either case; strict otherwise: no blanks, no padding, no bits left over that are not 0.
std::optional<std::string> from_base32(std::string_view text);

}  // namespace ctrlexec
