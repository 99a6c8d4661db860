#include "core/serial_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/config_file.h"
#include "core/file.h"
#include "core/serial.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_serial_text = 128;

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() &&
           std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) {
               return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
           });
}

bool is_decimal(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Schoolbook: the hex digits, least significant first, times ten plus the next decimal digit.
std::string decimal_to_hex(std::string_view decimal) {
    std::vector<int> digits{0};
    for (const char c : decimal) {
        int carry = c - '0';
        for (int& digit : digits) {
            const int value = digit * 10 + carry;
            digit = value % 16;
            carry = value / 16;
        }
        for (; carry > 0; carry /= 16) digits.push_back(carry % 16);
    }
    std::string hex;
    for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) hex += "0123456789abcdef"[*digit];
    return hex;
}

std::vector<std::string> readings(std::string_view text) {
    bool hex_only = false;
    if (starts_with_ignoring_case(text, "serial=")) text = trim(text.substr(7));
    if (starts_with_ignoring_case(text, "0x")) {
        text.remove_prefix(2);
        hex_only = true;
    }
    std::string digits;
    for (const char c : text) {
        if (c != ':') digits += c;
        hex_only = hex_only || c == ':';
    }
    std::vector<std::string> found;
    if (digits.size() > max_serial_text) return found;
    if (const auto hex = normalize_serial(digits)) found.push_back(*hex);
    if (hex_only || !is_decimal(digits)) return found;
    if (const auto decimal = normalize_serial(decimal_to_hex(digits))) found.push_back(*decimal);
    return found;
}

}  // namespace

SerialList SerialList::parse(const std::string& path, std::string_view text) {
    SerialList list;
    for (int line = 1; !text.empty(); ++line) {
        const auto end = text.find('\n');
        const std::string_view whole = text.substr(0, end);
        const std::string_view content = trim(whole.substr(0, whole.find('#')));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (content.empty()) continue;
        const auto found = readings(content);
        list.serials_.insert(found.begin(), found.end());
        if (!found.empty()) continue;
        list.warnings_.push_back(
            fmt::format("{}:{}: '{}' is no certificate serial; nothing is revoked by this line", path, line,
                        printable(content.substr(0, 60))));
    }
    return list;
}

Result<SerialList> SerialList::load(const std::string& path) {
    const auto text = read_file(path, max_config_bytes);
    // Only what is really not there revokes nobody: a list that cannot be reached may hold anything.
    if (!text && text.error().code == Errc::not_found) return SerialList();
    if (!text) return fail(Errc::config, text.error().message);
    return parse(path, *text);
}

}  // namespace ctrlexec
