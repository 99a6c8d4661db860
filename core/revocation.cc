#include "core/revocation.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/config_file.h"
#include "core/file.h"
#include "core/serial.h"
#include "core/serial_list.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t unmistakable_digits = 16;

// A line of digits alone would be read as decimal too.
std::string line_of(const std::string& serial, const std::string& comment) {
    const bool digits_only =
        std::all_of(serial.begin(), serial.end(), [](char c) { return c >= '0' && c <= '9'; });
    return fmt::format("{}{}  # {}\n", digits_only ? "0x" : "", serial, printable(comment));
}

}  // namespace

Result<bool> revoke_serial(const std::string& path, const std::string& serial, const std::string& comment) {
    TRY_DO(make_directories(directory_of(path), 0755));
    TRY(const FileLock held, FileLock::acquire(path + ".lock", FileLock::Wait::yes));
    TRY(const SerialList list, SerialList::load(path));
    if (list.contains(serial)) return false;
    std::string text;
    if (file_exists(path)) {
        TRY(text, read_file(path, max_config_bytes));
    }
    if (!text.empty() && text.back() != '\n') text += '\n';
    text += line_of(serial, comment);
    if (text.size() > max_config_bytes) {
        return fail(Errc::too_large,
                    fmt::format("{} is full; remove serials whose certificates have expired", path));
    }
    TRY_DO(replace_file_atomic(path, text, 0644));
    return true;
}

Result<std::string> parse_serial_argument(const std::string& text) {
    std::string digits = text;
    const bool prefixed = digits.starts_with("0x") || digits.starts_with("0X");
    if (prefixed) digits.erase(0, 2);
    const bool with_colons = digits.find(':') != std::string::npos;
    digits.erase(std::remove(digits.begin(), digits.end(), ':'), digits.end());
    const auto serial = normalize_serial(digits);
    if (serial && (prefixed || with_colons || digits.size() >= unmistakable_digits)) return *serial;
    return fail(
        Errc::usage,
        fmt::format("'{}' is no registered agent, and no serial in hex (a short one needs 0x in front)",
                    printable(text)));
}

}  // namespace ctrlexec
