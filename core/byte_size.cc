#include "core/byte_size.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>

#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::string_view units = "KMG";  // each 1024 times the one before
// 0 when there is no such unit.
std::uint64_t unit_of(std::string_view suffix) {
    if (suffix.empty()) return 1;
    const auto index = units.find(suffix);
    if (suffix.size() > 1 || index == std::string_view::npos) return 0;
    return std::uint64_t{1} << (10 * (index + 1));
}

}  // namespace

Result<std::size_t> parse_byte_size(std::string_view text, std::size_t low, std::size_t high) {
    std::uint64_t number = 0;  // from_chars takes no sign then
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    const auto suffix = text.substr(static_cast<std::size_t>(parsed.ptr - text.data()));
    const std::uint64_t unit = parsed.ec == std::errc{} ? unit_of(suffix) : 0;
    if (unit != 0 && number <= high / unit && number * unit >= low)
        return static_cast<std::size_t>(number * unit);
    return fail(Errc::bad_request,
                fmt::format("must be a size from {} to {}, such as 4096, 64K or 4M, not '{}'",
                            byte_size_text(low), byte_size_text(high), printable(text.substr(0, 60))));
}

std::string byte_size_text(std::size_t bytes) {
    std::string_view suffix;
    for (std::size_t i = 0; i < units.size() && bytes != 0 && bytes % 1024 == 0; ++i) {
        bytes /= 1024;
        suffix = units.substr(i, 1);
    }
    return fmt::format("{}{}", bytes, suffix);
}

}  // namespace ctrlexec
