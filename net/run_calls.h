// Runs on agents: what they are asked, and what their answers mean. POST /run is what every agent knows; the
// rest only those of this version.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/host_result.h"
#include "core/result.h"
#include "core/run_request.h"
#include "net/agent_question.h"

namespace ctrlexec {

// POST /run; with a time limit POST /runs, which old agents do not know (Errc::not_found).
AgentQuestion run_question(const RunRequest& request, std::chrono::seconds read_timeout);

// POST /runs too, but the answer is a stream of FollowLines, the last of which holds the result.
AgentQuestion follow_run_question(const RunRequest& request, std::chrono::seconds read_timeout);
// POST /follow: such a stream of a run in the background, from these offsets of its output on.
AgentQuestion follow_question(const std::string& reqid, std::uint64_t output_from, std::uint64_t errors_from,
                              std::chrono::seconds read_timeout);

// A run that goes on when the connection has ended. May be asked again: it is the same run.
AgentQuestion submit_question(const RunRequest& request);

// GET /result: the agent answers when the run has ended, at the latest after `wait`.
AgentQuestion result_question(const std::string& reqid, std::chrono::seconds wait,
                              std::chrono::seconds read_timeout);
AgentQuestion cancel_question(const std::string& reqid);

struct JobState {
    enum class Kind : std::uint8_t {
        running,
        cancelling,
        done,     // with `result`; so is lost
        lost,     // the agent had accepted it, and will never have a result
        unknown,  // it was never accepted, not from us, or it is too long ago
    };
    Kind kind = Kind::unknown;
    std::int64_t started = 0;  // epoch seconds, of a run that is running; 0: not known
    std::uint64_t output_bytes = 0, errors_bytes = 0;  // so far
    std::optional<RunResult> result;                   // without a host
};

std::string_view word(JobState::Kind kind);

// From the body of a 2xx answer. A refusal of a submission is a result, and so of kind done.
Result<JobState> job_state(std::string_view body);

// Of a run in the background: its time is what the agent says.
Result<RunResult> job_result(const json::Value& value);

// What a result says of an agent that does not know the route.
std::string too_old(std::string_view host, std::string_view what_it_cannot);

// The line of the log for what became of a host, however its result has come.
void log_run_result(const RunResult& result);

}  // namespace ctrlexec
