// What is kept of a job beside its output: who asked for what, when it was started, and how it ended.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/process_identity.h"
#include "core/result.h"

namespace ctrlexec {

// A job belongs to the dispatcher that submitted it: another one may use the same request id.
struct JobKey {
    std::string reqid;       // 16 hex digits
    std::string dispatcher;  // id of the trusted dispatcher

    auto operator<=>(const JobKey&) const = default;

    // "REQID-DISPATCHER", a name for a directory; nothing when it is none.
    static std::optional<JobKey> from_name(std::string_view name);
    std::string name() const { return reqid + "-" + dispatcher; }
    bool is_valid() const;
};

// job.json. Without the token, what the script finds on its stdin, and its environment: these go to the
// supervisor through a pipe and are nowhere on disk.
struct JobRecord {
    JobKey key;
    std::string script;
    std::string username;
    std::string peer_ip;
    std::int64_t accepted = 0;  // epoch seconds
    std::chrono::milliseconds timeout{0};
    std::chrono::milliseconds kill_grace{0};
    std::size_t output_limit = 0;

    static Result<JobRecord> from_json(const json::Value& value);
    json::Value to_json() const;
};

// started.json. From then on the job never starts (again).
struct JobStart {
    ProcessIdentity supervisor;
    std::int64_t started = 0;  // epoch seconds

    static Result<JobStart> from_json(const json::Value& value);
    json::Value to_json() const;
};

// result.json, the job's one outcome.
struct JobResult {
    int exit = -1;  // as /run answers it; -1 when it is lost
    int signal = 0;
    bool timed_out = false;
    bool cancelled = false;
    bool lost = false;
    std::string error;         // "" for none
    std::string warning;       // what went wrong beside it; for the agent's log, which the supervisor has not
    std::int64_t started = 0;  // epoch seconds; 0 when it was never started
    std::int64_t ended = 0;

    static Result<JobResult> from_json(const json::Value& value);
    static JobResult lost_because(std::string why, std::int64_t started, std::int64_t now);
    json::Value to_json() const;
};

}  // namespace ctrlexec
