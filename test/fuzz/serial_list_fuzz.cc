// revoked-serials and the normal form of serials, against BoringSSL's big numbers: no reading of a line may
// be missing from the list, and none may be in it that no line has.
#include <openssl/bn.h>
#include <openssl/mem.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "core/config_file.h"
#include "core/serial.h"
#include "core/serial_list.h"
#include "core/utf8.h"
#include "test/fuzz/harness.h"

namespace ctrlexec::fuzz {
namespace {

constexpr std::size_t max_text = 128;
constexpr unsigned max_octets = 20;

bool consists_of(std::string_view text, std::string_view characters) {
    return !text.empty() && text.find_first_not_of(characters) == std::string_view::npos;
}

bool is_decimal(std::string_view text) {
    return consists_of(text, "0123456789");
}

bool is_hex(std::string_view text) {
    return consists_of(text, "0123456789abcdefABCDEF");
}

// The normal form of the number; nullopt when no certificate can have it.
std::optional<std::string> normal_form(int (*read)(BIGNUM**, const char*), const std::string& digits) {
    BIGNUM* number = nullptr;
    require(read(&number, digits.c_str()) == static_cast<int>(digits.size()));
    const bssl::UniquePtr<BIGNUM> owned(number);
    if (BN_num_bytes(number) > max_octets) return std::nullopt;
    const bssl::UniquePtr<char> hex(BN_bn2hex(number));
    std::string text = hex.get();
    for (char& c : text) c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    if (text.size() % 2 != 0) text.insert(0, 1, '0');
    return text;
}

bool remove_prefix(std::string_view& text, std::string_view lower, std::string_view upper) {
    std::size_t n = 0;
    while (n < lower.size() && n < text.size() && (text[n] == lower[n] || text[n] == upper[n])) ++n;
    if (n < lower.size()) return false;
    text.remove_prefix(n);
    return true;
}

std::set<std::string> readings_of(std::string_view text) {
    if (remove_prefix(text, "serial=", "SERIAL=")) text = trim(text);
    bool hex_only = remove_prefix(text, "0x", "0X");
    hex_only = hex_only || text.find(':') != std::string_view::npos;
    std::string digits(text);
    digits.erase(std::remove(digits.begin(), digits.end(), ':'), digits.end());
    std::set<std::string> readings;
    if (digits.size() > max_text) return readings;
    const auto take = [&readings](const std::optional<std::string>& serial) {
        if (serial) readings.insert(*serial);
    };
    if (is_hex(digits)) take(normal_form(BN_hex2bn, digits));
    if (is_decimal(digits) && !hex_only) take(normal_form(BN_dec2bn, digits));
    return readings;
}

void check_warning(const std::string& warning, int line) {
    const std::string start = "x:" + std::to_string(line) + ": ";
    require(warning.compare(0, start.size(), start) == 0 && printable(warning) == warning);
}

void check_normal_form(std::string_view text) {
    const auto serial = normalize_serial(text);
    require(!serial || is_hex(text));
    if (!is_hex(text) || text.size() > max_text) return;
    require(serial == normal_form(BN_hex2bn, std::string(text)));
    if (serial) require(normalize_serial(*serial) == *serial && normalize_serial("00" + *serial) == *serial);
}

}  // namespace

int fuzz_serial_list(const std::uint8_t* data, std::size_t size) {
    std::string_view text = text_of_input(data, size);
    check_normal_form(text);
    const SerialList list = SerialList::parse("x", text);
    std::set<std::string> expected;
    std::size_t warnings = 0;
    for (int line = 1; !text.empty(); ++line) {
        const auto end = std::min(text.find('\n'), text.size());
        std::string_view content = text.substr(0, end);
        content = trim(content.substr(0, content.find('#')));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (content.empty()) continue;
        const auto readings = readings_of(content);
        expected.insert(readings.begin(), readings.end());
        if (!readings.empty()) continue;
        require(warnings < list.warnings().size());
        check_warning(list.warnings()[warnings++], line);
    }
    require(list.size() == expected.size() && list.warnings().size() == warnings);
    std::string rendered;
    for (const auto& serial : expected) {
        require(list.contains(serial) && normalize_serial(serial) == serial);
        rendered += "0x" + serial + "\n";
    }
    const SerialList again = SerialList::parse("x", rendered);
    require(again.size() == list.size() && again.warnings().empty());
    return 0;
}

}  // namespace ctrlexec::fuzz
