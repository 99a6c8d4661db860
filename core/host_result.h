// What became of one host of a run or ping: for tables, JSON and exit codes alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/result.h"

namespace ctrlexec {

enum class Outcome : std::uint8_t {
    ok,             // exit 0
    failed,         // another exit, or it could not be executed
    timed_out,      // the agent ended the script: its time was over
    cancelled,      // the agent ended the script: somebody asked for that
    busy,           // not started: the agent runs as much as it may
    refused,        // not started: the agent does not permit it
    lost,           // accepted, and never to have a result: the host was restarted, say
    missing,        // nothing usable came back: unreachable, another key, no answer in time
    still_running,  // we have stopped waiting, the script has not ended
    skipped,        // not started: so many hosts had failed before, or the run was interrupted
    pending,        // of an asynchronous run: no result yet
};
constexpr std::size_t outcome_count = static_cast<std::size_t>(Outcome::pending) + 1;

std::string_view word(Outcome outcome);    // in JSON: "timed-out"
std::string_view spoken(Outcome outcome);  // in sentences: "timed out"

struct RunResult {
    std::string host;  // as it was asked for, without port
    std::string script;
    int exit =
        -1;  // the script's 0-255; 126 ended by a signal; 127 not executable; -1 never ran, see `error`
    std::string output;  // bytes as the script wrote them
    std::string errors;
    bool output_truncated = false;
    bool errors_truncated = false;
    std::uint64_t output_bytes = 0;  // all that the script wrote, when truncated; 0: not known
    std::uint64_t errors_bytes = 0;
    int signal = 0;  // that ended the script; 0: none, or not known
    bool timed_out = false;
    bool cancelled = false;
    bool busy = false;
    bool lost = false;
    bool still_running = false;
    bool skipped = false;
    bool pending = false;
    std::string error;            // why there is no result; "" when the script ran
    std::optional<Errc> failure;  // why there was no usable answer; none when the agent itself refused
    std::string rtt;              // "45ms"
    std::string reqid;

    Outcome outcome() const;
    bool ok() const { return outcome() == Outcome::ok; }

    // For metrics, of a closed set: the outcome (script-timed-out when the agent ended it), but what did not
    // answer by the name of `failure`: timed-out, unreachable, refused-connection…
    std::string_view label() const;

    // From the body of an agent's 200 answer. A missing or odd `exit` is Errc::bad_answer, never success.
    static Result<RunResult> parse(std::string_view body);
    static Result<RunResult> from_json(json::Value answer);
    // What to_json() has written, and the 0.8.4 program too; what cannot be read has failed, and says so.
    static RunResult from_record(const json::Value& record);
    json::Value to_json() const&;
    json::Value to_json() &&;  // without a copy of the output, which may be large
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
