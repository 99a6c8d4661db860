#include "core/serial.h"

namespace ctrlexec {

std::optional<std::string> normalize_serial(std::string_view hex) {
    constexpr std::size_t max_digits = 40;
    if (hex.empty()) return std::nullopt;
    while (hex.size() > 1 && hex.front() == '0') hex.remove_prefix(1);
    if (hex.size() > max_digits) return std::nullopt;
    std::string normal(hex.size() % 2, '0');
    for (const char c : hex) {
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) {
            normal += c;
        } else if (c >= 'A' && c <= 'F') {
            normal += static_cast<char>(c - 'A' + 'a');
        } else {
            return std::nullopt;
        }
    }
    return normal;
}

}  // namespace ctrlexec
