// The closed set of expected failures, and the one table that says what each means outside.
#pragma once

#include <cstdint>
#include <string_view>

namespace ctrlexec {

enum class Errc : std::uint8_t {
    usage,             // the command line is wrong
    config,            // a configuration file is missing, unreadable or wrong
    bad_request,       // a peer sent something malformed
    not_found,         // no such route, request, agent, file
    exists,            // would overwrite something that must be kept
    denied,            // policy says no
    locked,            // somebody else holds it
    too_large,         // over a size limit
    too_many_headers,  // over the header limit
    not_implemented,   // valid, but nothing we do
    bad_version,       // a protocol version we do not speak
    busy,              // at a capacity limit, try again later
    unresolved,        // a name has no address
    refused,           // nobody listens there
    unreachable,       // no route, or the network broke
    timed_out,         // a deadline passed
    still_running,     // a deadline passed while a script of a peer of ours went on
    tls_failed,        // the TLS handshake or the peer's certificate was not acceptable
    key_mismatch,      // the agent that answers holds another key than the registered one
    closed,            // the peer closed before the answer was complete
    bad_answer,        // the peer's answer was malformed
    io,                // a local file or device failed
    crypto,            // a key, certificate or signature is not valid
    cancelled,         // we were asked to stop
    internal,          // a bug, or out of memory
};

enum class LogLevel : std::uint8_t {
    error = 3,
    warning = 4,
    notice = 5,
    info = 6,
    debug = 7
};  // RFC 5424 values

struct ErrcInfo {
    Errc code;
    std::string_view name;  // stable, for logs and JSON
    int exit_code;          // of a command that fails with it: 1, 2 or 78
    int http_status;
    LogLevel level;
};

const ErrcInfo& info(Errc code);

}  // namespace ctrlexec
