// The first line of a message (RFC 9112 sections 3 and 4).
#pragma once

#include <string_view>

#include "core/result.h"
#include "net/http_message.h"

namespace ctrlexec::http {

// "METHOD SP target SP HTTP/1.x" into method, target and minor_version. The target is in origin form, in
// absolute form of http or https, or "*". Errc::bad_version for any HTTP but 1.0 and 1.1, Errc::bad_request
// otherwise.
Result<void> parse_request_line(std::string_view line, HttpMessage& out);

// "HTTP/1.x SP 3DIGIT [SP reason]" into status and minor_version. The reason means nothing and is dropped.
Result<void> parse_status_line(std::string_view line, HttpMessage& out);

}  // namespace ctrlexec::http
