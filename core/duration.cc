#include "core/duration.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdint>

#include "core/utf8.h"

namespace ctrlexec {
namespace {

struct Unit {
    std::string_view suffix;
    std::int64_t milliseconds;
};

// The largest first.
constexpr std::array<Unit, 5> units{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};

std::int64_t milliseconds_of(std::string_view suffix) {
    if (suffix.empty()) return 1000;
    for (const Unit& unit : units) {
        if (unit.suffix == suffix) return unit.milliseconds;
    }
    return 0;
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text, std::chrono::milliseconds low,
                                                 std::chrono::milliseconds high) {
    std::uint64_t number = 0;  // from_chars takes no sign then
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    const auto suffix = text.substr(static_cast<std::size_t>(parsed.ptr - text.data()));
    const std::int64_t unit = parsed.ec == std::errc{} ? milliseconds_of(suffix) : 0;
    const auto most = static_cast<std::uint64_t>(high.count());
    if (unit != 0 && number <= most / static_cast<std::uint64_t>(unit)) {
        const std::chrono::milliseconds duration(static_cast<std::int64_t>(number) * unit);
        if (duration >= low) return duration;
    }
    return fail(Errc::bad_request,
                fmt::format("must be a time from {} to {}, such as 30s, 5m or 2h, not '{}'",
                            duration_text(low), duration_text(high), printable(text.substr(0, 60))));
}

std::string duration_text(std::chrono::milliseconds duration) {
    if (duration.count() == 0) return "0s";
    for (const Unit& unit : units) {
        if (duration.count() % unit.milliseconds == 0)
            return fmt::format("{}{}", duration.count() / unit.milliseconds, unit.suffix);
    }
    return {};  // not reached: 1 divides every number
}

}  // namespace ctrlexec
