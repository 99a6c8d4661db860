// What became of one host of a run or ping: for tables, JSON and exit codes alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/result.h"

namespace ctrlexec {

struct RunResult {
    std::string host;  // as it was asked for, without port
    std::string script;
    int exit =
        -1;  // the script's 0-255; 126 killed by a signal; 127 not executable; -1 never ran, see `error`
    std::string output;  // bytes as the script wrote them
    std::string errors;
    bool output_truncated = false;
    bool errors_truncated = false;
    std::string error;            // why there is no result; "" when the script ran
    std::optional<Errc> failure;  // why there was no usable answer; none when the agent itself refused
    std::string rtt;              // "45ms"
    std::string reqid;

    // One word of a closed set: ok, failed, refused (by the agent), or by the name of `failure`: timed-out,
    // unreachable, refused-connection…
    std::string_view outcome() const;

    bool ok() const { return exit == 0 && error.empty(); }

    // From the body of an agent's 200 answer. A missing or odd `exit` is Errc::bad_answer, never success.
    static Result<RunResult> parse(std::string_view body);
    static Result<RunResult> from_json(const json::Value& answer);
    json::Value to_json() const;
};

struct PingResult {
    std::string host;
    std::string error;            // "" when the agent answered
    std::optional<Errc> failure;  // with `error`
    std::string rtt;
    std::string expiry;
    std::string version;
    std::string reported_hostname;
    std::string reqid;
    std::string renewed_until;  // the new certificate's expiry, when it was renewed afterwards
    std::string renewal_error;  // why it was not, although it was due

    bool ok() const { return error.empty(); }
    // Until `expiry`, rounded down, below 0 when it has passed; nothing when that is not known.
    std::optional<std::int64_t> days_left(std::int64_t now) const;
    static Result<PingResult> parse(std::string_view body);
    json::Value to_json() const;
};

// What an agent can do, as it said itself.
struct DiscoveryResult {
    std::string host;  // as it was asked for
    std::string error;
    std::optional<Errc> failure;  // with `error`
    std::string rtt;
    // An object when there is no error: the agent's whole answer, with host, version, scripts and tags as
    // text and booleans, also when it sent numbers or left them out.
    json::Value answer;

    bool ok() const { return error.empty(); }
    // Errc::bad_answer when it is not one of /capabilities.
    static Result<DiscoveryResult> parse(std::string_view body);
    json::Value to_json() const;
};

}  // namespace ctrlexec
