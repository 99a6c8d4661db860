// Where a message's body ends and whether the connection lives on (RFC 9112 sections 6 and 9.3), from its
// head. Two readers that answer this differently are what request smuggling needs, so every doubtful head is
// refused.
#pragma once

#include <cstddef>
#include <optional>

#include "core/result.h"
#include "net/http_message.h"

namespace ctrlexec::http {

struct Framing {
    bool chunked = false;
    std::optional<std::size_t> length;  // Content-Length; saturated, so never smaller than what was sent
};

// Errc::bad_request for a conflicting or malformed head, Errc::not_implemented for a coding other than
// chunked.
Result<Framing> framing_of(const HttpMessage& head);

// What version and Connection say: "close" always wins.
bool wants_keep_alive(const HttpMessage& head);

}  // namespace ctrlexec::http
