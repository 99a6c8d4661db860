#include "net/api_dispatch.h"

#include <fmt/format.h>

#include <optional>
#include <set>

#include "core/allowlist.h"
#include "core/digest.h"
#include "core/log.h"
#include "core/run_store.h"
#include "core/timestamp.h"
#include "net/api_async.h"
#include "net/api_idempotency.h"
#include "net/api_requests.h"
#include "net/tag_records.h"

namespace ctrlexec {
namespace {

using Call = std::shared_ptr<const ApiCall>;

constexpr std::size_t max_script_names = 10'000;

HttpAnswer bad_request(const Error& error) {
    return api_error(400, error.message, error.detail);
}

std::vector<std::string> names_of(const std::vector<Target>& targets) {
    std::vector<std::string> names;
    for (const auto& target : targets) names.push_back(target.host);
    return names;
}

// Two ports of one host have two results, but the answer to a discovery has one member for each host.
bool names_one_twice(const std::vector<Target>& targets) {
    const std::vector<std::string> names = names_of(targets);
    return std::set<std::string>(names.begin(), names.end()).size() != names.size();
}

AuthRequest question_about(const ApiCall& call, std::string action, const std::vector<Target>& targets) {
    AuthRequest question = api_question(call, std::move(action));
    question.hosts = names_of(targets);
    return question;
}

void log_dispatch(const RunRequest& request, const std::vector<Target>& targets) {
    log_event(LogLevel::info, "dispatch",
              {{"HOSTS", fmt::format("{}", fmt::join(names_of(targets), ","))},
               {"REQID", request.reqid},
               {"SCRIPT", request.script},
               {"USER", request.username}});
}

void log_store_failure(const std::string& reqid, const Error& why) {
    log_event(LogLevel::error, "run-store-fail", {{"ERROR", why.text()}, {"REQID", reqid}});
}

HttpAnswer locked(const std::vector<std::string>& conflicts) {
    return json_answer(
        409, json::Object{
                 {"ok", false}, {"error", "locked"}, {"code", 4}, {"conflicts", json::strings(conflicts)}});
}

HttpAnswer with_results(json::Array results) {
    return json_answer(200, json::Object{{"ok", true}, {"results", std::move(results)}});
}

HttpAnswer with_hosts(json::Object hosts) {
    return json_answer(200, json::Object{{"ok", true}, {"hosts", std::move(hosts)}});
}

void remember_scripts(ApiState& state, const DiscoveryResult& result) {
    const auto* scripts = result.answer.find("scripts");
    if (scripts == nullptr || scripts->if_array() == nullptr) return;
    for (const auto& script : *scripts->if_array()) {
        if (state.script_names.size() >= max_script_names) return;
        std::string name = script.scalar("name");
        // Of another name no run can ask.
        if (is_valid_script_name(name)) state.script_names.insert(std::move(name));
    }
}

asio::awaitable<Result<std::vector<Target>>> registered_targets(Call call) {
    CO_TRY(const std::vector<std::string> names, co_await registered_names(call));
    std::vector<Target> targets;
    for (const auto& name : names) targets.push_back({name, 0});
    co_return std::move(targets);
}

asio::awaitable<void> store(Call call, StoredRun run) {
    const std::string reqid = run.reqid;
    std::function<Result<bool>()> work = [directory = call->snapshot->config.runs_dir(),
                                          run = std::move(run)]() -> Result<bool> {
        TRY_DO(RunStore(directory).save(run));
        return true;
    };
    const auto saved = co_await offload<bool>(call->state->runtime.pool(), file_timeout, std::move(work));
    if (saved) co_return;
    call->state->metrics.count_store_failure();
    log_store_failure(reqid, saved.error());
}

// The run itself, with everything permitted and locked.
asio::awaitable<HttpAnswer> carry_out(Call call, std::vector<Target> targets,
                                      std::shared_ptr<const RunRequest> request, HostLocks locks) {
    const ApiCount running(*call->state, &ApiState::dispatches);
    StoredRun run;
    run.reqid = request->reqid;
    run.script = request->script;
    run.hosts = names_of(targets);
    const Stopwatch watch;
    std::function<void(RunResult)> on_result = [&](const RunResult& result) {
        call->state->metrics.count_run(result.label(), watch.seconds());
        run.results.push_back(result.to_json());
    };
    co_await call->snapshot->dispatch->run(std::move(targets), request, std::move(locks),
                                           std::move(on_result));
    run.completed = now_seconds();
    HttpAnswer answer = json_answer(200, run.to_run_answer());
    co_await store(call, std::move(run));
    co_return answer;
}

// A run that is permitted. `claim` may be empty: no Idempotency-Key.
asio::awaitable<HttpAnswer> lock_and_run(Call call, std::vector<Target> targets,
                                         std::shared_ptr<const RunRequest> request, bool background,
                                         ClaimKey claim) {
    if (auto not_now = unavailable(*call)) co_return std::move(*not_now);
    const auto use = background ? Dispatch::LockUse::look : Dispatch::LockUse::hold;
    auto locks = co_await call->snapshot->dispatch->lock(targets, request, use);
    if (!locks) co_return api_failed("the locks cannot be used", locks.error());
    if (!locks->conflicts.empty()) co_return locked(locks->conflicts);
    if (claim) {
        if (auto used = co_await claim()) co_return std::move(*used);
    }
    log_dispatch(*request, targets);
    if (background) co_return co_await submit_run(call, std::move(targets), request);
    co_return co_await carry_out(call, std::move(targets), request, std::move(locks->held));
}

}  // namespace

asio::awaitable<HttpAnswer> api_ping(Call call) {
    const auto body = required_body(*call);
    if (!body) co_return bad_request(body.error());
    auto targets = read_hosts(*body, true);
    if (!targets) co_return bad_request(targets.error());
    AuthRequest question = question_about(*call, "ping", *targets);
    if (auto refused = co_await refused_by_auth(call, std::move(question), *targets))
        co_return std::move(*refused);
    if (auto not_now = unavailable(*call)) co_return std::move(*not_now);
    const ApiCount running(*call->state, &ApiState::dispatches);
    json::Array results;
    std::function<void(PingResult)> on_result = [&](const PingResult& result) {
        call->state->metrics.count_ping(result.ok());
        results.push_back(result.to_json());
    };
    co_await call->snapshot->dispatch->ping(std::move(*targets), new_reqid(), std::move(on_result));
    co_return with_results(std::move(results));
}

asio::awaitable<HttpAnswer> api_discovery(Call call) {
    const json::Value* body = nullptr;
    if (!call->request.body.empty()) {
        const auto given = required_body(*call);
        if (!given) co_return bad_request(given.error());
        body = *given;
    }
    auto targets = read_hosts(body, false);
    if (!targets) co_return bad_request(targets.error());
    if (targets->empty()) targets = co_await registered_targets(call);
    if (!targets) co_return api_failed("the registry cannot be read", targets.error());
    if (names_one_twice(*targets))
        co_return api_error(400, "invalid host", "the answer has one member for each host");
    AuthRequest question = question_about(*call, "ping", *targets);
    if (auto refused = co_await refused_by_auth(call, std::move(question), *targets))
        co_return std::move(*refused);
    if (auto not_now = unavailable(*call)) co_return std::move(*not_now);
    const ApiCount running(*call->state, &ApiState::dispatches);
    DiscoveredTags tags(*targets);
    json::Object hosts;
    std::function<void(DiscoveryResult)> on_result = [&](const DiscoveryResult& result) {
        remember_scripts(*call->state, result);
        if (tags.add(result))
            call->state->tags.put(result.host, tags.found[result.host], std::chrono::steady_clock::now());
        hosts.push_back({result.host, result.to_json()});
    };
    co_await call->snapshot->dispatch->discover(std::move(*targets), std::move(on_result));
    // The answer does not depend on it, and the log tells.
    (void)co_await keep_tags(call->state->runtime, call->snapshot->config, std::move(tags));
    co_return with_hosts(std::move(hosts));
}

asio::awaitable<HttpAnswer> api_run(Call call) {
    const auto body = required_body(*call);
    if (!body) co_return bad_request(body.error());
    auto key = read_idempotency_key(call->request);
    if (!key) co_return bad_request(key.error());
    auto targets = read_hosts(*body, true);
    if (!targets) co_return bad_request(targets.error());
    auto parsed = read_run(*call, **body);
    if (!parsed) co_return bad_request(parsed.error());
    const auto async = read_async(**body);
    if (!async) co_return bad_request(async.error());
    const bool background = *async;
    const auto request = std::make_shared<const RunRequest>(std::move(*parsed));
    AuthRequest question = question_about(*call, "run", *targets);
    question.script = request->script;
    question.arguments = request->arguments;
    if (auto refused = co_await refused_by_auth(call, std::move(question), *targets))
        co_return std::move(*refused);
    if (key->empty())
        co_return co_await lock_and_run(call, std::move(*targets), request, background, nullptr);
    std::function<asio::awaitable<HttpAnswer>(ClaimKey)> first = [call, targets = *targets, request,
                                                                  background](ClaimKey claim) {
        return lock_and_run(call, targets, request, background, std::move(claim));
    };
    co_return co_await answer_once(call, std::move(*key), std::move(*targets), request, background,
                                   std::move(first));
}

}  // namespace ctrlexec
