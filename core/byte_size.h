// Amounts of memory as people write them: "4096", "64K", "4M", "1G", in steps of 1024.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace ctrlexec {

inline constexpr std::size_t max_byte_size = std::min<std::uint64_t>(std::uint64_t{1} << 40, SIZE_MAX);

// Errc::bad_request "must be a size from … to …, such as …, not '…'": the caller says what.
Result<std::size_t> parse_byte_size(std::string_view text, std::size_t low = 0,
                                    std::size_t high = max_byte_size);

// In the largest unit that tells it exactly: "1M", "1536".
std::string byte_size_text(std::size_t bytes);

}  // namespace ctrlexec
