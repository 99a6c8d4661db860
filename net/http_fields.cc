#include "net/http_fields.h"

#include <algorithm>

namespace ctrlexec::http {
namespace {

constexpr char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool list_has(std::string_view list, std::string_view token) {
    while (true) {
        const std::size_t comma = list.find(',');
        if (equal_ignoring_case(trimmed(list.substr(0, comma)), token)) return true;
        if (comma == std::string_view::npos) return false;
        list.remove_prefix(comma + 1);
    }
}

}  // namespace

bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, is_token_char);
}

bool is_field_value(std::string_view text) {
    return std::ranges::all_of(text, is_field_char);
}

std::string to_lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), lower);
    return out;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

Result<std::pair<std::string, std::string>> parse_field(std::string_view line) {
    if (line.starts_with(' ') || line.starts_with('\t')) {
        return fail(Errc::bad_request, "folded header line");
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return fail(Errc::bad_request, "header line without a colon");
    const std::string_view name = line.substr(0, colon);
    if (!is_token(name)) return fail(Errc::bad_request, "malformed header name");
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (!is_field_value(value)) return fail(Errc::bad_request, "control character in a header value");
    return std::pair(to_lower(name), std::string(value));
}

std::size_t count_headers(const HttpMessage& message, std::string_view name) {
    const auto same = [name](const auto& header) { return header.first == name; };
    return static_cast<std::size_t>(std::ranges::count_if(message.headers, same));
}

bool header_lists(const HttpMessage& message, std::string_view name, std::string_view token) {
    return std::ranges::any_of(message.headers, [name, token](const auto& header) {
        return header.first == name && list_has(header.second, token);
    });
}

}  // namespace ctrlexec::http
