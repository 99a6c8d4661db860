// Header field syntax (RFC 9110 section 5), shared by the parser and by what writes heads: we never send what
// we would refuse.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "core/result.h"
#include "net/http_message.h"

namespace ctrlexec::http {

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
constexpr bool is_visible(char c) {
    return c > 0x20 && c < 0x7f;
}  // VCHAR

// field-content: HTAB, SP, VCHAR and obs-text. Never CR, LF or NUL.
constexpr bool is_field_char(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

constexpr bool is_token_char(char c) {
    constexpr std::string_view delimiters = "\"(),/:;<=>?@[\\]{}";
    return is_visible(c) && delimiters.find(c) == std::string_view::npos;
}

bool is_token(std::string_view text);
bool is_field_value(std::string_view text);

// ASCII only, whatever the locale.
std::string to_lower(std::string_view text);
bool equal_ignoring_case(std::string_view a, std::string_view b);

// Without SP and HTAB at both ends (OWS).
std::string_view trimmed(std::string_view text);

// One header line without its line end: the name in lower case, the value trimmed. Errc::bad_request for
// anything else, obs-fold and whitespace before the colon included (RFC 9112 section 5).
Result<std::pair<std::string, std::string>> parse_field(std::string_view line);

std::size_t count_headers(const HttpMessage& message, std::string_view name);

// Whether any header of that (lower-case) name lists `token`, in any case (#token, RFC 9110 section 5.6.1).
bool header_lists(const HttpMessage& message, std::string_view name, std::string_view token);

}  // namespace ctrlexec::http
