// UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ctrlexec {

// Length in bytes of the valid sequence at the start of `text`, 0 when there is none.
std::size_t utf8_sequence(std::string_view text);

bool is_utf8(std::string_view text);

// How many bytes at the end begin a sequence whose rest is missing: 0 to 3.
std::size_t incomplete_at_end(std::string_view bytes);

// Each byte that belongs to no valid sequence becomes U+FFFD.
std::string to_utf8(std::string_view bytes);

// The same text with control characters (C0, DEL, C1) replaced by `\xNN`: safe for a terminal line or a log.
std::string printable(std::string_view text);

}  // namespace ctrlexec
