#include "net/http_framing.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "net/http_fields.h"

namespace ctrlexec::http {
namespace {

Result<std::size_t> parse_length(std::string_view text) {
    if (text.empty() || !std::ranges::all_of(text, is_digit)) {
        return fail(Errc::bad_request, "malformed Content-Length");
    }
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    std::size_t value = 0;
    for (const char c : text) {
        if (value > (most - 9) / 10) return most;
        value = value * 10 + static_cast<std::size_t>(c - '0');
    }
    return value;
}

}  // namespace

Result<Framing> framing_of(const HttpMessage& head) {
    const std::size_t codings = count_headers(head, "transfer-encoding");
    const std::size_t lengths = count_headers(head, "content-length");
    if (lengths > 1) return fail(Errc::bad_request, "conflicting Content-Length");
    if (codings > 0 && lengths > 0) {
        return fail(Errc::bad_request, "conflicting Content-Length and Transfer-Encoding");
    }
    Framing framing;
    if (lengths > 0) {
        TRY(framing.length, parse_length(head.header("content-length")));
    }
    if (codings == 0) return framing;

    if (codings > 1) return fail(Errc::bad_request, "repeated Transfer-Encoding");
    if (head.minor_version == 0) return fail(Errc::bad_request, "Transfer-Encoding in HTTP/1.0");
    if (!equal_ignoring_case(head.header("transfer-encoding"), "chunked")) {
        return fail(Errc::not_implemented, "unsupported Transfer-Encoding");
    }
    framing.chunked = true;
    return framing;
}

bool wants_keep_alive(const HttpMessage& head) {
    if (header_lists(head, "connection", "close")) return false;
    return head.minor_version > 0 || header_lists(head, "connection", "keep-alive");
}

}  // namespace ctrlexec::http
