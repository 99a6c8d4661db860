#include "net/run_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/config_file.h"
#include "core/log.h"

namespace ctrlexec {
namespace {

using Kind = JobState::Kind;

constexpr std::chrono::seconds beyond_the_limit{60};  // for the end of the script, and its answer
constexpr std::chrono::seconds least_silence{30};     // agents say something every ten seconds
constexpr std::size_t max_answer = 256u << 20;        // as of a run
constexpr std::array<std::string_view, 5> words{"running", "cancelling", "done", "lost", "unknown"};

json::Value request_in_mode(const RunRequest& request, std::string_view mode) {
    json::Value body = request.to_value();
    body.set("mode", mode);
    if (request.timeout) body.set("timeout_ms", static_cast<std::int64_t>(request.timeout->count()));
    return body;
}

std::int64_t count_of(const json::Value& value, std::string_view name) {
    std::int64_t count = 0;
    return parse_integer(value.scalar(name), 0, INT64_MAX, count) ? count : 0;
}

// As good as can be told: an agent says seconds.
std::string time_taken(const json::Value& result) {
    const std::int64_t seconds = count_of(result, "ended") - count_of(result, "started");
    return fmt::format("{}ms", std::clamp<std::int64_t>(seconds, 0, INT64_MAX / 1000) * 1000);
}

Error no_state() {
    return fail(Errc::bad_answer, "the agent's answer does not say how the run stands");
}

}  // namespace

AgentQuestion run_question(const RunRequest& request, std::chrono::seconds read_timeout) {
    AgentQuestion question;
    question.repeatable = false;
    if (!request.timeout) {
        question.path = "/run";
        question.body = request.to_json();
        question.unknown_route = Errc::bad_answer;
        return question;
    }
    question.path = "/runs";
    question.body = json::dump(request_in_mode(request, "wait"));
    question.read_timeout =
        std::max<std::chrono::milliseconds>(read_timeout, *request.timeout + beyond_the_limit);
    return question;
}

AgentQuestion follow_run_question(const RunRequest& request, std::chrono::seconds read_timeout) {
    AgentQuestion question;
    question.repeatable = false;
    question.path = "/runs";
    question.body = json::dump(request_in_mode(request, "follow"));
    question.read_timeout = std::max(read_timeout, least_silence);
    return question;
}

AgentQuestion follow_question(const std::string& reqid, std::uint64_t output_from, std::uint64_t errors_from,
                              std::chrono::seconds read_timeout) {
    AgentQuestion question;
    question.path = "/follow";
    question.body =
        json::dump(json::Object{{"reqid", reqid}, {"stdout", output_from}, {"stderr", errors_from}});
    question.read_timeout = std::max(read_timeout, least_silence);
    return question;
}

AgentQuestion submit_question(const RunRequest& request) {
    AgentQuestion question;
    question.path = "/runs";
    question.body = json::dump(request_in_mode(request, "detach"));
    return question;
}

AgentQuestion result_question(const std::string& reqid, std::chrono::seconds wait,
                              std::chrono::seconds read_timeout) {
    AgentQuestion question;
    question.method = "GET";
    question.path = "/result/" + reqid;
    if (wait.count() > 0) question.headers.emplace_back("Prefer", fmt::format("wait={}", wait.count()));
    question.read_timeout = read_timeout + wait;
    return question;
}

AgentQuestion cancel_question(const std::string& reqid) {
    AgentQuestion question;
    question.path = "/cancel";
    question.body = json::dump(json::Object{{"reqid", reqid}});
    return question;
}

std::string_view word(Kind kind) {
    return words[static_cast<std::size_t>(kind)];
}

Result<RunResult> job_result(const json::Value& value) {
    TRY(RunResult result, RunResult::from_json(value));
    result.rtt = time_taken(value);
    return result;
}

Result<JobState> job_state(std::string_view body) {
    const auto value = json::parse(body, max_answer);
    if (!value || value->if_object() == nullptr)
        return fail(Errc::bad_answer, "the agent's answer is not a JSON object");
    JobState state;
    if (value->find("state") == nullptr) {
        TRY(state.result, job_result(*value));
        if (state.result->ok()) return no_state();  // it must not run and be done at once
        state.kind = Kind::done;
        return state;
    }
    const auto found = std::ranges::find(words, value->text("state"));
    if (found == words.end()) return no_state();
    state.kind = static_cast<Kind>(found - words.begin());
    state.started = count_of(*value, "started");
    state.output_bytes = static_cast<std::uint64_t>(count_of(*value, "stdout_bytes"));
    state.errors_bytes = static_cast<std::uint64_t>(count_of(*value, "stderr_bytes"));
    const auto* result = value->find("result");
    if (result == nullptr) return state;
    TRY(state.result, job_result(*result));
    if (state.kind == Kind::lost) state.result->lost = true;
    return state;
}

std::string too_old(std::string_view host, std::string_view what_it_cannot) {
    return fmt::format("{} is an agent of the old kind (or of an older release): it cannot {}", host,
                       what_it_cannot);
}

void log_run_result(const RunResult& result) {
    log_event(result.ok() ? LogLevel::info : LogLevel::warning, "run",
              {{"ERROR", result.error},
               {"EXIT", std::to_string(result.exit)},
               {"REQID", result.reqid},
               {"RTT", result.rtt},
               {"SCRIPT", result.script},
               {"TARGET", result.host}});
}

}  // namespace ctrlexec
