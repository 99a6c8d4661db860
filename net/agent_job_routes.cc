#include "net/agent_job_routes.h"

#include <algorithm>

#include "core/config_file.h"
#include "core/job_report.h"
#include "core/timestamp.h"
#include "net/agent_jobs.h"
#include "net/agent_runs.h"
#include "net/child.h"

namespace ctrlexec {
namespace {

constexpr std::string_view result_target = "/result/";
constexpr std::string_view follow_target = "/follow";
constexpr std::size_t max_follow_body = 64 * 1024;
constexpr std::int64_t max_wait = 60;  // seconds

// RFC 7240: "wait=N", alone or among other preferences. What is no number is no preference.
std::chrono::seconds wait_preference(const HttpMessage& request) {
    std::string_view rest = request.header("prefer");
    while (!rest.empty()) {
        const auto end = rest.find_first_of(",;");
        std::string_view part = trim(rest.substr(0, end));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        constexpr std::string_view name = "wait=";
        std::int64_t seconds = 0;
        if (part.starts_with(name) && parse_integer(part.substr(name.size()), 0, INT32_MAX, seconds))
            return std::chrono::seconds(std::min(seconds, max_wait));
    }
    return std::chrono::seconds(0);
}

JobKey key_of(const AgentPeer& peer, std::string reqid) {
    return {std::move(reqid), peer.dispatcher};
}

HttpAnswer follow_job(const AgentPeer& peer, const HttpMessage& request, AgentHost& host) {
    const auto body = json::parse(request.body, max_follow_body);
    if (!body) return error_answer(body.error());
    const JobKey key = key_of(peer, body->scalar("reqid"));
    std::int64_t output = 0;  // what is no number is the beginning
    std::int64_t error = 0;
    (void)parse_integer(body->scalar("stdout"), 0, INT64_MAX, output);
    (void)parse_integer(body->scalar("stderr"), 0, INT64_MAX, error);
    const auto follow = host.jobs().follow(
        key, JobOffsets{static_cast<std::uint64_t>(output), static_cast<std::uint64_t>(error)});
    if (follow == nullptr) return json_answer(200, job_state_report("unknown", key));
    HttpAnswer answer;
    answer.headers.emplace_back("Content-Type", "application/x-ndjson");
    answer.stream = [follow](std::shared_ptr<BodyWriter> writer) {
        return follow->stream(std::move(writer));
    };
    return answer;
}

JobRequest job_of(const AgentPeer& peer, const RunRequest& request, SpawnPlan plan,
                  const ChildLimits& limits) {
    JobSpec spec(std::move(plan));
    spec.input = request.script_input(peer.ip, now_seconds());
    spec.input_timeout = limits.input_timeout;
    spec.run_timeout = limits.run_timeout;
    spec.kill_grace = limits.kill_grace;
    spec.output_limit = limits.output_limit;
    return {request.username, peer.ip, std::move(spec)};
}

}  // namespace

bool is_job_route(const HttpMessage& request) {
    if (request.method == "POST" && request.target == follow_target) return true;
    return request.method == "GET" && request.target.starts_with(result_target);
}

asio::awaitable<HttpAnswer> answer_job_request(AgentPeer peer, HttpMessage request, AgentHost& host) {
    if (request.target == follow_target) co_return follow_job(peer, request, host);
    JobKey key = key_of(peer, request.target.substr(result_target.size()));
    const auto wait = wait_preference(request);
    const json::Value body = co_await host.jobs().result(std::move(key), wait);
    co_return json_answer(200, body);
}

asio::awaitable<HttpAnswer> detach_run(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                       RunOrder order, AgentHost& host) {
    const RunRequest& request = order.request;
    const JobKey key = key_of(peer, request.reqid);
    const auto known = co_await host.jobs().submitted(key);
    if (known) co_return json_answer(200, *known);
    if (const auto admitted = admit_run(*snapshot, host, request.script); !admitted)
        co_return refused_run(request, peer, admitted.error());
    auto place = host.jobs().reserve(key, request.script);
    if (!place) co_return refused_run(request, peer, place.error());
    AgentPeer asking = peer;
    RunRequest asked = request;
    auto plan = co_await approve_run(snapshot, std::move(asking), std::move(asked));
    if (!plan) co_return refused_run(request, peer, plan.error());
    JobRequest job =
        job_of(peer, request, std::move(*plan), limits_of(*snapshot, request.script, order.timeout));
    const auto accepted = co_await host.jobs().submit(std::move(*place), std::move(job));
    if (!accepted) co_return refused_run(request, peer, accepted.error());
    co_return json_answer(200, *accepted);
}

asio::awaitable<std::string> cancel_job(AgentPeer peer, std::string reqid, AgentHost& host) {
    JobKey key = key_of(peer, std::move(reqid));
    co_return co_await host.jobs().cancel(std::move(key));
}

}  // namespace ctrlexec
