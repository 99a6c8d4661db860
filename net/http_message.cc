#include "net/http_message.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <iterator>

#include "net/http_fields.h"

namespace ctrlexec {
namespace {

using Extra = std::vector<std::pair<std::string, std::string>>;

// Whatever reaches a head must not be able to end a line of it, or an argument becomes a header or a second
// message. The callers validate; a forgotten check is a bug in debug builds and harmless in release builds.
void append_only(std::string& out, std::string_view text, bool (*allowed)(char)) {
    assert(std::ranges::all_of(text, allowed));
    std::ranges::copy_if(text, std::back_inserter(out), allowed);
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
    append_only(out, name, http::is_token_char);
    out += ": ";
    append_only(out, value, http::is_field_char);
    out += "\r\n";
}

void append_headers(std::string& out, const Extra& extra) {
    for (const auto& [name, value] : extra) append_header(out, name, value);
}

void append_content(std::string& out, std::size_t length) {
    append_header(out, "Content-Type", "application/json");
    append_header(out, "Content-Length", std::to_string(length));
}

std::string_view version_text(int minor_version) {
    return minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1";
}

struct Reason {
    int status;
    std::string_view phrase;
};

// RFC 9110 section 15, and RFC 6585 for 429 and 431.
constexpr std::array<Reason, 26> reasons{{
    {100, "Continue"},
    {102, "Processing"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
}};

}  // namespace

std::string_view HttpMessage::header(std::string_view name) const {
    const auto found = std::ranges::find(headers, name, &std::pair<std::string, std::string>::first);
    return found == headers.end() ? std::string_view{} : std::string_view{found->second};
}

bool HttpMessage::has_header(std::string_view name) const {
    return std::ranges::find(headers, name, &std::pair<std::string, std::string>::first) != headers.end();
}

namespace {

std::string status_line(int status, int minor_version) {
    std::string head;
    head.reserve(256);
    head += version_text(minor_version);
    head += ' ' + std::to_string(status) + ' ';
    head += reason_phrase(status);
    head += "\r\n";
    return head;
}

// What the version does not say by itself (RFC 9112 section 9.3).
void end_head(std::string& head, int minor_version, bool keep_alive) {
    if (minor_version > 0 && !keep_alive) append_header(head, "Connection", "close");
    if (minor_version == 0 && keep_alive) append_header(head, "Connection", "keep-alive");
    head += "\r\n";
}

}  // namespace

std::string response_head(int status, int minor_version, std::size_t content_length, bool keep_alive,
                          const Extra& extra) {
    const bool has_content = status >= 200 && status != 204;  // RFC 9110 section 8.6
    std::string head = status_line(status, minor_version);
    const bool typed =
        std::ranges::any_of(extra, [](const auto& field) { return field.first == "Content-Type"; });
    if (has_content && !typed) append_header(head, "Content-Type", "application/json");
    if (has_content) append_header(head, "Content-Length", std::to_string(content_length));
    append_headers(head, extra);
    end_head(head, minor_version, keep_alive || status < 200);
    return head;
}

std::string stream_head(int status, int minor_version, bool keep_alive, const Extra& extra) {
    std::string head = status_line(status, minor_version);
    if (minor_version > 0) append_header(head, "Transfer-Encoding", "chunked");
    append_headers(head, extra);
    end_head(head, minor_version, keep_alive);
    return head;
}

std::string interim_head(int status, const Extra& extra) {
    std::string head = status_line(status, 1);
    append_headers(head, extra);
    return head + "\r\n";
}

std::string request_head(std::string_view method, std::string_view target, std::string_view host,
                         int minor_version, bool has_body, std::size_t content_length, const Extra& extra) {
    std::string head;
    head.reserve(256);
    append_only(head, method, http::is_token_char);
    head += ' ';
    append_only(head, target, http::is_visible);
    head += ' ';
    head += version_text(minor_version);
    head += "\r\n";
    append_header(head, "Host", host);
    if (has_body) append_content(head, content_length);
    append_headers(head, extra);
    head += "\r\n";
    return head;
}

std::string_view reason_phrase(int status) {
    const auto found = std::ranges::find(reasons, status, &Reason::status);
    return found == reasons.end() ? "Unknown" : found->phrase;
}

}  // namespace ctrlexec
