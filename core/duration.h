// Durations as people write them: "500ms", "30s", "5m", "2h", "1d"; a plain number is seconds.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/result.h"

namespace ctrlexec {

inline constexpr std::chrono::milliseconds max_duration = std::chrono::hours(24 * 30);

// Errc::bad_request "must be a time from … to …, such as …, not '…'": the caller says what.
Result<std::chrono::milliseconds> parse_duration(std::string_view text,
                                                 std::chrono::milliseconds low = std::chrono::milliseconds(1),
                                                 std::chrono::milliseconds high = max_duration);

// In the largest unit that tells it exactly: "90s", "5m", "1500ms"; "0s" for none.
std::string duration_text(std::chrono::milliseconds duration);

}  // namespace ctrlexec
