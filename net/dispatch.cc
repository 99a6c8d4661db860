#include "net/dispatch.h"

#include <fmt/format.h>

#include <set>

#include "core/certificate.h"
#include "core/file.h"
#include "core/key.h"
#include "core/log.h"
#include "core/run_locks.h"
#include "net/agent_client.h"
#include "net/auth_hook.h"
#include "net/fan_out.h"

namespace ctrlexec {
namespace {

using Clock = std::chrono::steady_clock;

std::string milliseconds_since(Clock::time_point start) {
    return fmt::format("{}ms",
                       std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count());
}

// Where the registry says the agent is; a name it does not know is looked up as it stands.
AgentAddress address_of(const Target& target, const Registry& registry, int default_port) {
    AgentAddress address;
    address.host = target.host;
    address.port = default_port;
    if (const auto record =
            is_ip_address(target.host) ? fail(Errc::not_found, "") : registry.find(target.host)) {
        if (is_ip_address(record->ip)) address.fallback = record->ip;
        address.by_address = record->lookup_by == "ip" && !address.fallback.empty();
        if (record->agent_port != 0) address.port = record->agent_port;
    }
    if (target.port != 0) address.port = target.port;
    return address;
}

Error refusal(const HttpMessage& answer) {
    const auto body = json::parse(answer.body, 1u << 20);
    const std::string error = body ? body->scalar("error") : std::string();
    if (answer.status == 403)
        return fail(Errc::denied, "forbidden: " + (error.empty() ? "no reason given" : error));
    return fail(Errc::bad_answer,
                fmt::format("the agent answered {}{}", answer.status, error.empty() ? "" : ": " + error));
}

// Logging and JSON stay out of coroutines: g++ 12 miscompiles initializer lists there.
std::string ping_body(const std::string& reqid) {
    return json::dump(json::Object{{"reqid", reqid}});
}

void log_result(const RunResult& result) {
    log_event(result.ok() ? LogLevel::info : LogLevel::warning, "run",
              {{"ERROR", result.error},
               {"EXIT", std::to_string(result.exit)},
               {"REQID", result.reqid},
               {"RTT", result.rtt},
               {"SCRIPT", result.script},
               {"TARGET", result.host}});
}

void log_auth(const AuthRequest& question, const Result<void>& allowed) {
    log_event(allowed ? LogLevel::info : LogLevel::notice, "auth",
              {{"REASON", allowed ? std::string() : allowed.error().text()},
               {"REQUEST", question.action},
               {"RESULT", allowed ? "allow" : "deny"},
               {"SCRIPT", question.script},
               {"USER", question.username}});
}

void log_lock(std::string_view action, const std::string& host, const RunRequest& request) {
    log_event(LogLevel::info, action,
              {{"REQID", request.reqid}, {"SCRIPT", request.script}, {"TARGET", host}});
}

void log_result(const PingResult& result) {
    log_event(result.ok() ? LogLevel::info : LogLevel::warning, "ping",
              {{"ERROR", result.error},
               {"REQID", result.reqid},
               {"RTT", result.rtt},
               {"STATUS", result.ok() ? "ok" : "error"},
               {"TARGET", result.host}});
}

}  // namespace

Dispatch::Dispatch(Runtime& runtime, const DispatcherConfig& config, std::shared_ptr<TlsContext> tls)
    : runtime_(&runtime), config_(config), registry_(config.agents_dir()), tls_(std::move(tls)) {}

Result<Dispatch> Dispatch::create(Runtime& runtime, const DispatcherConfig& config) {
    if (!file_exists(config.ca)) {
        return fail(Errc::config,
                    fmt::format("{} does not exist; run 'ctrl-exec-dispatcher setup-ca' first", config.ca));
    }
    if (!file_exists(config.cert)) {
        return fail(
            Errc::config,
            fmt::format("{} does not exist; run 'ctrl-exec-dispatcher setup-ctrl-exec' first", config.cert));
    }
    TRY(const Certificate authority, Certificate::from_file(config.ca));
    TRY(const Certificate certificate, Certificate::from_file(config.cert));
    TRY(const PrivateKey key, PrivateKey::from_file(config.key));
    TlsContext::Options options;
    options.role = TlsContext::Role::client;
    options.certificate = &certificate;
    options.key = &key;
    options.authority = &authority;
    TRY(auto tls, TlsContext::create(options));
    return Dispatch(runtime, config, std::move(tls));
}

asio::awaitable<Result<void>> Dispatch::authorise(AuthRequest question, int* code) {
    if (config_.auth_hook.empty()) co_return success();
    const auto allowed =
        co_await ask_hook(config_.auth_hook, question, std::chrono::seconds(config_.auth_hook_timeout), code);
    log_auth(question, allowed);
    co_return allowed;
}

Result<void> Dispatch::lock(const std::vector<Target>& targets, const RunRequest& request,
                            std::vector<std::string>& conflicts) {
    const RunLocks locks(config_.locks_dir());
    std::set<std::string> mine;  // two ports of one host share its lock
    for (const auto& target : targets) {
        if (!mine.insert(target.host).second) continue;
        auto held = locks.acquire(target.host, request.script, request.reqid);
        if (!held && held.error().code != Errc::locked) {
            locks_.clear();
            return std::move(held).error();
        }
        log_lock(held ? "lock-acquire" : "lock-conflict", target.host, request);
        if (held) {
            locks_.emplace(target.host, std::move(*held));
        } else {
            conflicts.push_back(target.host + ":" + request.script);
        }
    }
    if (conflicts.empty()) return success();
    locks_.clear();
    return fail(Errc::locked, "locked");
}

void Dispatch::unlock(const std::string& host, const RunRequest& request) {
    const auto held = locks_.find(host);
    if (held == locks_.end()) return;
    locks_.erase(held);
    log_lock("lock-release", host, request);
}

asio::awaitable<Result<std::string>> Dispatch::post(Target target, std::string path, std::string body) {
    AgentCall call;
    call.address = address_of(target, registry_, config_.port);
    call.method = "POST";
    call.target = std::move(path);
    call.body = std::move(body);
    call.connect_timeout = std::chrono::seconds(config_.connect_timeout);
    call.read_timeout = std::chrono::seconds(config_.read_timeout);
    CO_TRY(HttpMessage answer, co_await call_agent(*runtime_, tls_, std::move(call)));
    if (answer.status < 200 || answer.status > 299) co_return refusal(answer);
    co_return std::move(answer.body);
}

asio::awaitable<RunResult> Dispatch::run_one(Target target, std::shared_ptr<const RunRequest> request) {
    const auto start = Clock::now();
    auto body = co_await post(target, "/run", request->to_json());
    auto parsed = body ? RunResult::parse(*body) : Result<RunResult>(std::move(body).error());
    RunResult result;
    if (parsed) {
        result = std::move(*parsed);
    } else {
        result.error = parsed.error().text();
    }
    result.host = target.host;
    result.script = request->script;
    result.reqid = request->reqid;
    result.rtt = milliseconds_since(start);
    log_result(result);
    co_return result;
}

asio::awaitable<PingResult> Dispatch::ping_one(Target target, std::string reqid) {
    const auto start = Clock::now();
    auto body = co_await post(target, "/ping", ping_body(reqid));
    auto parsed = body ? PingResult::parse(*body) : Result<PingResult>(std::move(body).error());
    PingResult result;
    if (parsed) {
        result = std::move(*parsed);
    } else {
        result.error = parsed.error().text();
    }
    result.host = target.host;
    result.reqid = reqid;
    result.rtt = milliseconds_since(start);
    log_result(result);
    co_return result;
}

asio::awaitable<void> Dispatch::run(std::vector<Target> targets, RunRequest request,
                                    std::function<void(RunResult)> on_result) {
    const auto shared = std::make_shared<const RunRequest>(std::move(request));
    std::map<std::string, int> left;  // results to come for each host
    for (const auto& target : targets) ++left[target.host];
    std::function<asio::awaitable<void>(std::size_t)> work = [&](std::size_t i) -> asio::awaitable<void> {
        RunResult result = co_await run_one(targets[i], shared);
        on_result(std::move(result));
        if (--left[targets[i].host] == 0) unlock(targets[i].host, *shared);
    };
    co_await fan_out(*runtime_, targets.size(), static_cast<std::size_t>(config_.max_parallel),
                     std::move(work));
}

asio::awaitable<void> Dispatch::ping(std::vector<Target> targets, std::string reqid,
                                     std::function<void(PingResult)> on_result) {
    std::function<asio::awaitable<void>(std::size_t)> work = [&](std::size_t i) -> asio::awaitable<void> {
        PingResult result = co_await ping_one(targets[i], reqid);
        on_result(std::move(result));
    };
    co_await fan_out(*runtime_, targets.size(), static_cast<std::size_t>(config_.max_parallel),
                     std::move(work));
}

}  // namespace ctrlexec
