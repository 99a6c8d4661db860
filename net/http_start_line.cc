#include "net/http_start_line.h"

#include <algorithm>

#include "net/http_fields.h"

namespace ctrlexec::http {
namespace {

Result<int> parse_version(std::string_view text, std::string_view malformed) {
    if (text == "HTTP/1.1") return 1;
    if (text == "HTTP/1.0") return 0;
    const bool named = text.starts_with("HTTP/");
    if (named) text.remove_prefix(5);
    const bool major_only = text.size() == 1 && is_digit(text[0]);
    const bool both = text.size() == 3 && is_digit(text[0]) && text[1] == '.' && is_digit(text[2]);
    if (named && (major_only || both)) {
        return fail(Errc::bad_version, "unsupported HTTP version", "only HTTP/1.0 and HTTP/1.1 are spoken");
    }
    return fail(Errc::bad_request, std::string(malformed));
}

bool is_absolute_form(std::string_view target) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!equal_ignoring_case(target.substr(0, scheme.size()), scheme)) continue;
        return target.size() > scheme.size() && target[scheme.size()] != '/';
    }
    return false;
}

bool is_target(std::string_view target) {
    if (!std::ranges::all_of(target, is_visible)) return false;
    return target.starts_with('/') || target == "*" || is_absolute_form(target);
}

}  // namespace

Result<void> parse_request_line(std::string_view line, HttpMessage& out) {
    constexpr std::string_view malformed = "malformed request line";
    if (line.empty()) return fail(Errc::bad_request, "empty request");
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == last) return fail(Errc::bad_request, std::string(malformed));  // none or only one
    const std::string_view method = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, last - first - 1);
    if (!is_token(method)) return fail(Errc::bad_request, std::string(malformed));
    // The version goes first: what a target looks like is for that version to say.
    TRY(const int minor, parse_version(line.substr(last + 1), malformed));
    if (!is_target(target)) return fail(Errc::bad_request, "malformed request target");
    out.method = method;
    out.target = target;
    out.minor_version = minor;
    return success();
}

Result<void> parse_status_line(std::string_view line, HttpMessage& out) {
    constexpr std::string_view malformed = "malformed status line";
    constexpr std::size_t status_at = 9;
    const std::size_t space = line.find(' ');
    TRY(const int minor, parse_version(line.substr(0, space), malformed));
    const std::string_view status = space == std::string_view::npos ? "" : line.substr(status_at);
    const bool digits = status.size() >= 3 && std::ranges::all_of(status.substr(0, 3), is_digit);
    const bool separated = status.size() == 3 || (status.size() > 3 && status[3] == ' ');
    if (!digits || !separated || !is_field_value(status))
        return fail(Errc::bad_request, std::string(malformed));
    const int code = (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
    if (code < 100 || code > 599) return fail(Errc::bad_request, std::string(malformed));
    out.status = code;
    out.minor_version = minor;
    return success();
}

}  // namespace ctrlexec::http
