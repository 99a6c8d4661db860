// HTTP/1.x messages (RFC 9112) as values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ctrlexec {

struct HttpMessage {
    std::string method;  // request only, as sent (case-sensitive)
    std::string target;  // request only, as sent
    int status = 0;      // response only
    int minor_version = 1;
    std::vector<std::pair<std::string, std::string>> headers;  // names lower-cased, values trimmed
    std::string body;
    bool keep_alive = false;  // what version and Connection say

    // The first header of that (lower-case) name, or "".
    std::string_view header(std::string_view name) const;
    bool has_header(std::string_view name) const;
};

// "HTTP/1.0 200 OK\r\n…\r\n\r\n": the head of an answer or request, with Content-Length. Content-Type is JSON
// unless `extra` has one.
std::string response_head(int status, int minor_version, std::size_t content_length, bool keep_alive,
                          const std::vector<std::pair<std::string, std::string>>& extra = {});
// Of an answer whose length is not known: chunked in HTTP/1.1, ended by the connection's end in HTTP/1.0.
std::string stream_head(int status, int minor_version, bool keep_alive,
                        const std::vector<std::pair<std::string, std::string>>& extra);
// 102 Processing (RFC 2518 section 10.1).
std::string interim_head(int status, const std::vector<std::pair<std::string, std::string>>& extra);
std::string request_head(std::string_view method, std::string_view target, std::string_view host,
                         int minor_version, bool has_body, std::size_t content_length,
                         const std::vector<std::pair<std::string, std::string>>& extra = {});

std::string_view reason_phrase(int status);

}  // namespace ctrlexec
