#include "core/base32.h"

#include <cstdint>

namespace ctrlexec {
namespace {

constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

}  // namespace

std::string base32(std::string_view bytes) {
    std::string text;
    text.reserve((bytes.size() * 8 + 4) / 5);
    std::uint32_t bits = 0;
    int count = 0;
    for (const char byte : bytes) {
        bits = (bits << 8) | static_cast<std::uint8_t>(byte);
        for (count += 8; count >= 5; count -= 5) text += digits[(bits >> (count - 5)) & 31];
    }
    if (count > 0) text += digits[(bits << (5 - count)) & 31];
    return text;
}

std::optional<std::string> from_base32(std::string_view text) {
    std::string bytes;
    bytes.reserve(text.size() * 5 / 8);
    std::uint32_t bits = 0;
    int count = 0;
    for (char digit : text) {
        if (digit >= 'a' && digit <= 'z') digit = static_cast<char>(digit - 'a' + 'A');
        const auto value = digits.find(digit);
        if (value == std::string_view::npos) return std::nullopt;
        bits = (bits << 5) | static_cast<std::uint32_t>(value);
        count += 5;
        if (count < 8) continue;
        count -= 8;
        bytes += static_cast<char>((bits >> count) & 255);
    }
    // A digit that adds nothing, or bits that no encoder writes: two texts must not mean the same bytes.
    if (count >= 5 || (bits & ((1u << count) - 1)) != 0) return std::nullopt;
    return bytes;
}

}  // namespace ctrlexec
