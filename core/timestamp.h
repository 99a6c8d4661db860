// Time as the formats on the wire and in files want it. All times are UTC.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ctrlexec {

std::int64_t now_seconds();                                             // since the epoch
std::string iso8601(std::int64_t since_epoch);                          // "2026-03-06T12:00:00Z"
std::optional<std::int64_t> parse_iso8601(std::string_view text);       // that form only
std::string openssl_time(std::int64_t since_epoch);                     // "Jun  7 16:28:00 2027 GMT"
std::optional<std::int64_t> parse_openssl_time(std::string_view text);  // that form only

// Whole days from `now` to the time of that text, rounded down; nothing when it is none.
std::optional<std::int64_t> days_until(std::string_view openssl_text, std::int64_t now);

// "5 s", "3 min", "7 h", "12 days": how far apart two clocks or dates are.
std::string rough_duration(std::int64_t seconds);

}  // namespace ctrlexec
