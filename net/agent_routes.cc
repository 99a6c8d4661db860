#include "net/agent_routes.h"

#include <fmt/format.h>

#include "core/log.h"
#include "core/output_cap.h"
#include "core/output_fields.h"
#include "core/protocol.h"
#include "core/run_request.h"
#include "core/script_environment.h"
#include "core/timestamp.h"
#include "core/utf8.h"
#include "net/agent_host.h"
#include "net/agent_trust.h"
#include "net/auth_hook.h"
#include "net/child.h"

namespace ctrlexec {
namespace {

constexpr int killed_by_signal = 126;
constexpr int could_not_execute = 127;
constexpr std::size_t reserved_bytes = 2048;  // for the other members of a capped answer

// What the caller can take: ours everything; an old dispatcher hangs on long answers.
enum class Caller { ours, capped, uncapped };
constexpr std::size_t max_ping_body = 64 * 1024;

Caller caller_of(const HttpMessage& request, const AgentConfig& config) {
    if (request.has_header(protocol_header_lower)) return Caller::ours;
    return config.legacy_output_cap ? Caller::capped : Caller::uncapped;
}

constexpr std::size_t max_echo = 1024;

// A request that was understood but not executed: the baseline's HTTP status for that is 200.
HttpAnswer refused(const RunRequest& request, const AgentPeer& peer, const Error& why) {
    log_event(LogLevel::notice, "deny",
              {{"DISPATCHER", peer.dispatcher},
               {"PEER", peer.ip},
               {"REASON", why.text()},
               {"REQID", request.reqid},
               {"SCRIPT", request.script}});
    return json_answer(200, json::Object{{"script", echo(request.script)},
                                         {"exit", -1},
                                         {"error", why.message},
                                         {"reqid", echo(request.reqid)}});
}

// Its script and reqid are not known.
HttpAnswer malformed(const AgentPeer& peer, const Error& why) {
    log_event(LogLevel::notice, "deny",
              {{"DISPATCHER", peer.dispatcher}, {"PEER", peer.ip}, {"REASON", why.text()}});
    return json_answer(200, json::Object{{"script", ""}, {"exit", -1}, {"error", why.message}});
}

HttpAnswer finished(const RunRequest& request, const AgentPeer& peer, Caller caller,
                    Result<ChildOutcome> result) {
    json::Value body(json::Object{{"script", request.script}});
    int exit = could_not_execute;
    if (result) {
        exit = result->signal != 0 ? killed_by_signal : result->exit_status;
        body.set("exit", exit);
        const bool ours = caller == Caller::ours;
        if (caller == Caller::capped)
            cap_output(result->output, result->error, legacy_answer_bytes - reserved_bytes);
        if (!ours) {
            result->output = to_utf8(result->output);
            result->error = to_utf8(result->error);
        }
        set_output(body, "stdout", std::move(result->output));
        set_output(body, "stderr", std::move(result->error));
        if (ours && result->output_truncated) body.set("stdout_truncated", true);
        if (ours && result->error_truncated) body.set("stderr_truncated", true);
        if (ours && result->signal != 0) body.set("signal", result->signal);
        if (result->input_timed_out) {
            log_event(
                LogLevel::warning, "stdin-timeout",
                {{"DISPATCHER", peer.dispatcher}, {"REQID", request.reqid}, {"SCRIPT", request.script}});
        }
    } else {
        body.set("exit", exit);
        body.set("stdout", "");
        body.set("stderr", result.error().message);
    }
    body.set("reqid", echo(request.reqid));
    log_event(LogLevel::info, "run",
              {{"DISPATCHER", peer.dispatcher},
               {"EXIT", std::to_string(exit)},
               {"PEER", peer.ip},
               {"REASON", result ? std::string() : result.error().text()},
               {"REQID", request.reqid},
               {"SCRIPT", request.script}});
    return json_answer(200, body);
}

AuthRequest hook_question(const AgentSnapshot& snapshot, const AgentPeer& peer, std::string action,
                          const RunRequest& request) {
    AuthRequest question;
    question.action = std::move(action);
    question.script = request.script;
    question.hosts = {snapshot.config.hostname};
    question.arguments = request.arguments;
    question.username = request.username;
    question.token = request.token;
    question.source_ip = peer.ip;
    question.dispatcher = peer.dispatcher;
    question.time = now_seconds();
    return question;
}

asio::awaitable<Result<void>> ask_agent_hook(std::shared_ptr<const AgentSnapshot> snapshot,
                                             AuthRequest question) {
    if (snapshot->config.auth_hook.empty()) co_return success();
    const std::chrono::seconds timeout(snapshot->config.auth_hook_timeout);
    co_return co_await ask_hook(snapshot->config.auth_hook, std::move(question), timeout, nullptr);
}

HttpAnswer discovery_denied(const AgentPeer& peer, const Error& why) {
    log_event(LogLevel::notice, "capabilities-deny",
              {{"DISPATCHER", peer.dispatcher}, {"PEER", peer.ip}, {"REASON", why.text()}});
    return json_answer(403, json::Object{{"error", "not authorised: " + why.message}});
}

// The name is an old dispatcher's way to announce its next serial. An entry in the allowlist counts more: it
// is the operator's own way to do it.
bool is_serial_update(const AgentSnapshot& snapshot, const RunRequest& request) {
    return request.script == update_serial_script && snapshot.allowlist.scripts().count(request.script) == 0;
}

// As if a script had done it.
ChildOutcome outcome_of(const Result<void>& updated) {
    ChildOutcome outcome;
    outcome.exit_status = updated ? 0 : 1;
    if (!updated) outcome.error = updated.error().message + "\n";
    return outcome;
}

asio::awaitable<HttpAnswer> run(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                HttpMessage request, AgentHost& host) {
    auto parsed = RunRequest::parse(request.body);
    if (!parsed) co_return malformed(peer, parsed.error());
    if (!parsed->problem.empty()) co_return refused(*parsed, peer, fail(Errc::bad_request, parsed->problem));
    const Caller caller = caller_of(request, snapshot->config);
    if (is_serial_update(*snapshot, *parsed)) {
        AgentPeer asking = peer;
        RunRequest update = *parsed;
        const auto updated =
            co_await update_serial(std::move(snapshot), std::move(asking), std::move(update), host);
        co_return finished(*parsed, peer, caller, outcome_of(updated));
    }
    auto program = snapshot->allowlist.approve(parsed->script, snapshot->config.script_dirs);
    if (!program) co_return refused(*parsed, peer, program.error());
    AuthRequest question = hook_question(*snapshot, peer, "run", *parsed);
    const auto allowed = co_await ask_agent_hook(snapshot, std::move(question));
    if (!allowed) {
        const Error why =
            fail(Errc::denied, "not authorised: " + allowed.error().message, allowed.error().detail);
        co_return refused(*parsed, peer, why);
    }
    SpawnPlan plan(std::move(*program));
    plan.arguments = parsed->arguments;
    plan.environment = script_environment();
    ChildLimits limits;
    limits.input_timeout = std::chrono::seconds(snapshot->config.stdin_timeout);
    std::string input = parsed->script_input(peer.ip, now_seconds());
    auto outcome = co_await run_child(std::move(plan), std::move(input), limits, &host.children());
    co_return finished(*parsed, peer, caller, std::move(outcome));
}

HttpAnswer ping(const AgentSnapshot& snapshot, const AgentPeer& peer, const HttpMessage& request) {
    // An empty or broken body is answered too: reachability is what a ping asks for.
    const auto body = json::parse(request.body, max_ping_body);
    const std::string reqid = body ? body->scalar("reqid") : std::string();
    log_event(LogLevel::info, "ping", {{"DISPATCHER", peer.dispatcher}, {"PEER", peer.ip}, {"REQID", reqid}});
    return json_answer(200, json::Object{{"status", "ok"},
                                         {"host", snapshot.config.hostname},
                                         {"version", CTRL_EXEC_VERSION},
                                         {"expiry", snapshot.certificate_expiry},
                                         {"reqid", echo(reqid)}});
}

HttpAnswer capabilities(const AgentSnapshot& snapshot, const AgentPeer& peer, Caller caller) {
    json::Array scripts;
    for (const auto& [name, path] : snapshot.allowlist.scripts()) {
        const bool executable =
            snapshot.allowlist.check_runnable(name, snapshot.config.script_dirs).has_value();
        scripts.emplace_back(json::Object{{"name", name}, {"path", path}, {"executable", executable}});
    }
    json::Object tags;
    for (const auto& [key, value] : snapshot.config.tags) tags.push_back({key, value});
    log_event(LogLevel::info, "capabilities", {{"DISPATCHER", peer.dispatcher}, {"PEER", peer.ip}});
    json::Value body(json::Object{{"status", "ok"},
                                  {"host", snapshot.config.hostname},
                                  {"version", CTRL_EXEC_VERSION},
                                  {"scripts", std::move(scripts)},
                                  {"tags", std::move(tags)}});
    if (caller == Caller::capped) cap_capabilities(body, legacy_answer_bytes);
    return json_answer(200, body);
}

asio::awaitable<HttpAnswer> discover(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                     Caller caller) {
    AuthRequest question = hook_question(*snapshot, peer, "discovery", RunRequest());
    const auto allowed = co_await ask_agent_hook(snapshot, std::move(question));
    if (!allowed) co_return discovery_denied(peer, allowed.error());
    co_return capabilities(*snapshot, peer, caller);
}

HttpAnswer revoked(const AgentPeer& peer) {
    log_event(LogLevel::warning, "revoked-cert", {{"PEER", peer.ip}, {"SERIAL", peer.serial}});
    return json_answer(403, json::Object{{"error", "certificate revoked"}});
}

HttpAnswer not_found() {
    return json_answer(404, json::Object{{"error", "not found"}});
}

HttpAnswer not_trusted(const AgentPeer& peer, const std::string& target) {
    const bool discovery = target == "/capabilities";
    log_event(LogLevel::warning, discovery ? "capabilities-deny" : "serial-reject",
              {{"PEER", peer.ip}, {"SERIAL", peer.serial}});
    if (discovery) return json_answer(403, json::Object{{"error", "forbidden"}});
    return json_answer(403, json::Object{{"error", "serial mismatch"}, {"status", "forbidden"}});
}

}  // namespace

std::string echo(const std::string& text) {
    return to_utf8(std::string_view(text).substr(0, max_echo));
}

HttpAnswer error_answer(const Error& error) {
    return json_answer(info(error.code).http_status, json::Object{{"error", error.message}});
}

asio::awaitable<HttpAnswer> answer_request(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                           HttpMessage request, AgentHost& host) {
    if (snapshot->revoked.contains(peer.serial)) co_return revoked(peer);
    const bool post = request.method == "POST";
    const bool is_run = post && request.target == "/run";
    const bool is_ping = post && request.target == "/ping";
    const bool is_capabilities = request.method == "GET" && request.target == "/capabilities";
    const bool is_trust = is_trust_route(request);
    if (!is_run && !is_ping && !is_capabilities && !is_trust) co_return not_found();
    const TrustedDispatcher* dispatcher = snapshot->dispatcher_of(peer.serial);
    if (dispatcher == nullptr) co_return not_trusted(peer, request.target);
    peer.dispatcher = dispatcher->id;
    if (is_run) co_return co_await run(std::move(snapshot), std::move(peer), std::move(request), host);
    if (is_trust)
        co_return co_await answer_trust_request(std::move(snapshot), std::move(peer), std::move(request),
                                                host);
    if (is_ping) co_return ping(*snapshot, peer, request);
    const Caller caller = caller_of(request, snapshot->config);
    co_return co_await discover(std::move(snapshot), std::move(peer), caller);
}

}  // namespace ctrlexec
