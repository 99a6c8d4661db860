#include "core/timestamp.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>

namespace ctrlexec {
namespace {

using std::chrono::days;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;

constexpr std::array<std::string_view, 12> month_names{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct Civil {
    int year = 0;
    unsigned month = 0, day = 0;
    int hour = 0, minute = 0, second = 0;
};

// Both text forms have room for four digits of the year, so a time outside them is moved to the nearest end.
Civil to_civil(std::int64_t since_epoch) {
    constexpr std::int64_t first = -62167219200;  // 0000-01-01T00:00:00Z
    constexpr std::int64_t last = 253402300799;   // 9999-12-31T23:59:59Z
    const sys_seconds time{seconds{std::clamp(since_epoch, first, last)}};
    const auto day = std::chrono::floor<days>(time);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss clock{time - day};
    return {static_cast<int>(date.year()),
            static_cast<unsigned>(date.month()),
            static_cast<unsigned>(date.day()),
            static_cast<int>(clock.hours().count()),
            static_cast<int>(clock.minutes().count()),
            static_cast<int>(clock.seconds().count())};
}

std::optional<std::int64_t> from_civil(const Civil& c) {
    const std::chrono::year_month_day date{std::chrono::year{c.year}, std::chrono::month{c.month},
                                           std::chrono::day{c.day}};
    if (!date.ok() || c.hour > 23 || c.minute > 59 || c.second > 59) return std::nullopt;
    const std::int64_t day = sys_days{date}.time_since_epoch().count();
    return day * 86400 + c.hour * 3600 + c.minute * 60 + c.second;
}

// `pattern` holds '9' for a digit, '8' for a digit or the space that pads it, '?' for any character; all
// others stand for themselves.
bool matches(std::string_view text, std::string_view pattern) {
    return std::equal(text.begin(), text.end(), pattern.begin(), pattern.end(), [](char c, char wanted) {
        const bool digit = c >= '0' && c <= '9';
        if (wanted == '9') return digit;
        if (wanted == '8') return digit || c == ' ';
        return wanted == '?' || c == wanted;
    });
}

int number(std::string_view digits) {
    int value = 0;
    for (const char c : digits) value = value * 10 + (c == ' ' ? 0 : c - '0');
    return value;
}

}  // namespace

namespace {

// In the builds of the tests alone (meson option test_clock), so that a certificate's years pass in seconds:
// what the file named by CTRL_EXEC_TEST_CLOCK says, in seconds, read each time, for running processes too.
std::int64_t test_clock_offset() {
    std::int64_t offset = 0;
#ifdef CTRL_EXEC_TEST_CLOCK
    const char* path = std::getenv("CTRL_EXEC_TEST_CLOCK");
    if (path != nullptr) std::ifstream(path) >> offset;
#endif
    return offset;
}

}  // namespace

std::int64_t now_seconds() {
    const auto now = std::chrono::floor<seconds>(std::chrono::system_clock::now()).time_since_epoch().count();
    return now + test_clock_offset();
}

std::string iso8601(std::int64_t since_epoch) {
    const Civil c = to_civil(since_epoch);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour, c.minute,
                       c.second);
}

std::optional<std::int64_t> parse_iso8601(std::string_view text) {
    if (!matches(text, "9999-99-99T99:99:99Z")) return std::nullopt;
    return from_civil({number(text.substr(0, 4)), static_cast<unsigned>(number(text.substr(5, 2))),
                       static_cast<unsigned>(number(text.substr(8, 2))), number(text.substr(11, 2)),
                       number(text.substr(14, 2)), number(text.substr(17, 2))});
}

std::string openssl_time(std::int64_t since_epoch) {
    const Civil c = to_civil(since_epoch);
    return fmt::format("{} {:2} {:02}:{:02}:{:02} {:04} GMT", month_names[c.month - 1], c.day, c.hour,
                       c.minute, c.second, c.year);
}

std::optional<std::int64_t> parse_openssl_time(std::string_view text) {
    if (!matches(text, "??? 89 99:99:99 9999 GMT") || text[4] == '0') return std::nullopt;
    const auto month = std::find(month_names.begin(), month_names.end(), text.substr(0, 3));
    if (month == month_names.end()) return std::nullopt;
    return from_civil({number(text.substr(16, 4)), static_cast<unsigned>(month - month_names.begin() + 1),
                       static_cast<unsigned>(number(text.substr(4, 2))), number(text.substr(7, 2)),
                       number(text.substr(10, 2)), number(text.substr(13, 2))});
}

std::optional<std::int64_t> days_until(std::string_view openssl_text, std::int64_t now) {
    const auto time = parse_openssl_time(openssl_text);
    if (!time) return std::nullopt;
    return std::chrono::floor<days>(seconds{*time - now}).count();
}

std::string rough_duration(std::int64_t seconds) {
    constexpr std::int64_t minute = 60;
    constexpr std::int64_t hour = 60 * minute;
    constexpr std::int64_t day = 24 * hour;
    if (seconds < 2 * minute) return fmt::format("{} s", seconds);
    if (seconds < 2 * hour) return fmt::format("{} min", seconds / minute);
    if (seconds < 2 * day) return fmt::format("{} h", seconds / hour);
    return fmt::format("{} days", seconds / day);
}

}  // namespace ctrlexec
