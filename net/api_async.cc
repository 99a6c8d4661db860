#include "net/api_async.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "core/log.h"
#include "core/run_store.h"
#include "core/run_whereabouts.h"
#include "core/submitted_runs.h"
#include "net/api_requests.h"
#include "net/fan_out.h"

namespace ctrlexec {
namespace {

using Call = std::shared_ptr<const ApiCall>;
using Found = RunWhereabouts;

// "results" are those that are there already: of hosts that have not accepted it, at the beginning.
HttpAnswer accepted(const json::Value& answer) {
    const std::string reqid = answer.scalar("reqid");
    json::Value body(json::Object{{"ok", true}, {"reqid", reqid}});
    for (const std::string_view name : {"status", "results"}) body.set(name, *answer.find(name));
    HttpAnswer made = json_answer(202, body);
    made.headers.emplace_back("Location", "/status/" + reqid);
    return made;
}

HttpAnswer with_states(const std::string& reqid, json::Array hosts) {
    return json_answer(200, json::Object{{"ok", true}, {"reqid", reqid}, {"hosts", std::move(hosts)}});
}

json::Value state_of(const std::string& host, const Result<JobState>& state) {
    json::Value item(json::Object{{"host", host}, {"state", state ? word(state->kind) : "error"}});
    if (!state) item.set("error", state.error().text());
    return item;
}

// Those that the client names, which must be hosts of the run; else all. By name: a run has a host at one
// port.
Result<Found> chosen(Found found, const std::vector<Target>& named) {
    if (named.empty()) return found;
    Found some;
    some.script = found.script;
    for (const auto& target : named) {
        const auto pending = std::ranges::find_if(found.pending, [&](const Target& each) {
            return each.host == target.host &&
                   (target.port == 0 || each.port == 0 || target.port == each.port);
        });
        if (pending != found.pending.end()) {
            some.pending.push_back(*pending);
        } else if (std::ranges::find(found.done, target.host) != found.done.end()) {
            some.done.push_back(target.host);
        } else {
            return fail(Errc::bad_request, "invalid host", "not a host of this run");
        }
    }
    return some;
}

std::vector<std::string> names_of(const Found& found) {
    std::vector<std::string> names = found.done;
    for (const auto& target : found.pending) names.push_back(target.host);
    return names;
}

// In the order of names_of().
std::vector<Target> targets_of(const Found& found) {
    std::vector<Target> targets;
    for (const auto& host : found.done) targets.push_back({host, 0});
    targets.insert(targets.end(), found.pending.begin(), found.pending.end());
    return targets;
}

asio::awaitable<Result<Found>> whereabouts(Call call, std::string reqid) {
    std::function<Result<Found>()> work = [config = call->snapshot->config, reqid] {
        return find_whereabouts(config.runs_dir(), config.locks_dir(), reqid);
    };
    co_return co_await offload<Found>(call->state->runtime.pool(), file_timeout, std::move(work));
}

asio::awaitable<HttpAnswer> cancel_found(Call call, std::string reqid, Found found) {
    const ApiCount running(*call->state, &ApiState::dispatches);
    const auto runs = async_runs(*call);
    json::Array hosts;
    JobState done;
    done.kind = JobState::Kind::done;
    for (const auto& host : found.done) hosts.push_back(state_of(host, done));
    std::function<asio::awaitable<void>(std::size_t)> one = [&](std::size_t i) -> asio::awaitable<void> {
        Target target = found.pending[i];
        const auto state = co_await runs->cancel(std::move(target), reqid);
        hosts.push_back(state_of(found.pending[i].host, state));
    };
    const auto parallel = static_cast<std::size_t>(call->snapshot->config.max_parallel);
    co_await fan_out(call->state->runtime, found.pending.size(), parallel, std::move(one));
    co_return with_states(reqid, std::move(hosts));
}

asio::awaitable<HttpAnswer> completed_status(Call call, std::string reqid) {
    std::function<Result<StoredRun>()> work = [directory = call->snapshot->config.runs_dir(), reqid] {
        return RunStore(directory).find(reqid);
    };
    const auto run = co_await offload<StoredRun>(call->state->runtime.pool(), file_timeout, std::move(work));
    if (run) {
        auto hidden = co_await hidden_by_policy(call, reqid, run->script, run->hosts);
        if (hidden) co_return std::move(*hidden);
        co_return json_answer(200, run->to_answer(true));
    }
    if (run.error().code == Errc::not_found) co_return no_such_run(reqid);
    co_return api_failed("the stored run cannot be read", run.error());
}

}  // namespace

std::shared_ptr<const AsyncRuns> async_runs(const ApiCall& call) {
    return std::make_shared<const AsyncRuns>(call.state->runtime, call.snapshot->dispatch,
                                             call.snapshot->config);
}

void count_async_result(ApiState& state, const RunResult& result) {
    state.metrics.count_run(result.label(), std::strtod(result.rtt.c_str(), nullptr) / 1000);
}

std::string reqid_in(std::string_view path) {
    const auto begin = path.find('/', 1);
    if (begin == std::string_view::npos) return {};
    return std::string(path.substr(begin + 1, path.find('/', begin + 1) - begin - 1));
}

asio::awaitable<HttpAnswer> submit_run(Call call, std::vector<Target> targets,
                                       std::shared_ptr<const RunRequest> request) {
    const ApiCount running(*call->state, &ApiState::dispatches);
    const auto runs = async_runs(*call);
    auto begun = co_await runs->begin(std::move(targets), request);
    if (!begun) co_return api_failed("the run cannot be stored, nothing was run", begun.error());
    const auto watched = begun->watched;
    co_await runs->submit(std::move(*begun), request, nullptr);
    for (const auto& host : watched->run.hosts) {
        if (host.state == SubmittedHost::State::done) count_async_result(*call->state, host.result);
    }
    co_return accepted(watched->run.to_answer(true));
}

Result<HttpAnswer> submitted_answer(const DispatcherConfig& config, const std::string& reqid) {
    const auto submitted = SubmittedRuns(config.runs_dir()).find(reqid);
    if (submitted) return accepted(submitted->to_answer(true));
    if (submitted.error().code != Errc::not_found) return submitted.error();
    TRY(const StoredRun stored, RunStore(config.runs_dir()).find(reqid));
    return accepted(stored.to_answer(true));
}

asio::awaitable<HttpAnswer> api_status(Call call) {
    const std::string reqid = reqid_in(call->path);
    const auto runs = async_runs(*call);
    auto watched = co_await runs->find(reqid);
    if (!watched && watched.error().code == Errc::not_found) co_return co_await completed_status(call, reqid);
    if (!watched) co_return api_failed("the stored run cannot be read", watched.error());
    const SubmittedRun& run = (*watched)->run;
    auto hidden = co_await hidden_by_policy(call, reqid, run.script, run.host_names());
    if (hidden) co_return std::move(*hidden);
    // At a limit what is known already has to do.
    if (!unavailable(*call)) {
        const ApiCount running(*call->state, &ApiState::dispatches);
        (*watched)->on_result = [call](const RunResult& result) { count_async_result(*call->state, result); };
        co_await runs->ask(*watched);
    }
    co_return json_answer(200, run.to_answer(true));
}

asio::awaitable<HttpAnswer> api_cancel(Call call) {
    const std::string reqid = reqid_in(call->path);
    const json::Value* body = nullptr;
    if (!call->request.body.empty()) {
        const auto given = required_body(*call);
        if (!given) co_return api_error(400, given.error().message, given.error().detail);
        body = *given;
    }
    const auto named = read_hosts(body, false);
    if (!named) co_return api_error(400, named.error().message, named.error().detail);
    auto found = co_await whereabouts(call, reqid);
    if (!found) co_return api_failed("the stored run cannot be read", found.error());
    if (found->pending.empty() && found->done.empty()) co_return no_such_run(reqid);
    auto hidden = co_await hidden_by_policy(call, reqid, found->script, names_of(*found));
    if (hidden) co_return std::move(*hidden);
    auto some = chosen(std::move(*found), *named);
    if (!some) co_return api_error(400, some.error().message, some.error().detail);
    // Who may not run a script does not end it either.
    AuthRequest question = api_question(*call, "run");
    question.script = some->script;
    question.hosts = names_of(*some);
    if (auto refused = co_await refused_by_auth(call, std::move(question), targets_of(*some)))
        co_return std::move(*refused);
    if (auto not_now = unavailable(*call)) co_return std::move(*not_now);
    co_return co_await cancel_found(call, reqid, std::move(*some));
}

}  // namespace ctrlexec
