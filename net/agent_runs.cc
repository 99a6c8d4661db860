#include "net/agent_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "core/log.h"
#include "core/output_cap.h"
#include "core/output_fields.h"
#include "core/protocol.h"
#include "core/script_plan.h"
#include "core/timestamp.h"
#include "core/utf8.h"
#include "net/agent_job_routes.h"
#include "net/agent_trust.h"
#include "net/auth_hook.h"
#include "net/child.h"
#include "net/followed_run.h"

namespace ctrlexec {
namespace {

constexpr int killed_by_signal = 126;
constexpr int could_not_execute = 127;
constexpr std::size_t reserved_bytes = 2048;  // for the other members of a capped answer
constexpr std::size_t max_cancel_body = 64 * 1024;

// Its script and reqid are not known.
HttpAnswer malformed(const AgentPeer& peer, const Error& why) {
    log_event(LogLevel::notice, "deny",
              {{"DISPATCHER", peer.dispatcher}, {"PEER", peer.ip}, {"REASON", why.text()}});
    return json_answer(200, json::Object{{"script", ""}, {"exit", -1}, {"error", why.message}});
}

std::string_view ended_by(const ChildOutcome& outcome) {
    if (outcome.timed_out) return "timed out";
    return outcome.cancelled ? "cancelled" : "";
}

// As the protocol counts it. Whatever a script makes of TERM: what we have ended has not succeeded.
int exit_of(const ChildOutcome& outcome) {
    const bool ended = outcome.signal != 0 || outcome.timed_out || outcome.cancelled;
    return ended ? killed_by_signal : outcome.exit_status;
}

// A caller that knows none of our members must find it in what it shows.
void tell_in_words(ChildOutcome& outcome) {
    if (ended_by(outcome).empty()) return;
    if (!outcome.error.empty() && outcome.error.back() != '\n') outcome.error += '\n';
    outcome.error += fmt::format("[ctrl-exec: {}]\n", ended_by(outcome));
}

void set_details(json::Value& body, const ChildOutcome& outcome) {
    if (outcome.output_truncated) {
        body.set("stdout_truncated", true);
        body.set("stdout_bytes", outcome.output_bytes);
    }
    if (outcome.error_truncated) {
        body.set("stderr_truncated", true);
        body.set("stderr_bytes", outcome.error_bytes);
    }
    if (outcome.timed_out) body.set("timed_out", true);
    if (outcome.cancelled) body.set("cancelled", true);
    // One that has obeyed TERM by exiting was ended by it all the same.
    if (exit_of(outcome) == killed_by_signal && !ended_by(outcome).empty()) {
        body.set("signal", outcome.signal != 0 ? outcome.signal : SIGTERM);
    } else if (outcome.signal != 0) {
        body.set("signal", outcome.signal);
    }
}

void log_run(const RunRequest& request, const AgentPeer& peer, const Result<ChildOutcome>& result) {
    const int exit = result ? exit_of(*result) : could_not_execute;
    log_event(LogLevel::info, "run",
              {{"DISPATCHER", peer.dispatcher},
               {"EXIT", std::to_string(exit)},
               {"PEER", peer.ip},
               {"REASON", result ? std::string(ended_by(*result)) : result.error().text()},
               {"REQID", request.reqid},
               {"SCRIPT", request.script},
               {"SIGNAL", result && result->signal != 0 ? std::to_string(result->signal) : std::string()}});
    if (result && result->input_timed_out) {
        log_event(LogLevel::warning, "stdin-timeout",
                  {{"DISPATCHER", peer.dispatcher}, {"REQID", request.reqid}, {"SCRIPT", request.script}});
    }
}

// Not in the coroutine: g++ 12 miscompiles initializer lists there.
HttpAnswer cancel_answer(const AgentPeer& peer, const std::string& reqid, const std::string& state) {
    log_event(LogLevel::notice, "cancel",
              {{"DISPATCHER", peer.dispatcher}, {"PEER", peer.ip}, {"REQID", reqid}, {"STATE", state}});
    return json_answer(200, json::Object{{"status", "ok"}, {"state", state}, {"reqid", echo(reqid)}});
}

HttpAnswer finished(const RunRequest& request, const AgentPeer& peer, Caller caller,
                    Result<ChildOutcome> result) {
    log_run(request, peer, result);
    json::Value body(json::Object{{"script", request.script}});
    set_outcome(body, caller, std::move(result));
    body.set("reqid", echo(request.reqid));
    return json_answer(200, body);
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

asio::awaitable<HttpAnswer> carry_out(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                      RunOrder order, Caller caller, AgentHost& host) {
    const RunRequest& request = order.request;
    if (const auto admitted = admit_run(*snapshot, host, request.script); !admitted)
        co_return refused_run(request, peer, admitted.error());
    const auto entry = host.runs().enter(peer.dispatcher, request.reqid, request.script);
    AgentPeer asking = peer;
    RunRequest asked = request;
    auto plan = co_await approve_run(snapshot, std::move(asking), std::move(asked));
    if (!plan) co_return refused_run(request, peer, plan.error());
    if (entry->cancelled())
        co_return refused_run(request, peer, fail(Errc::cancelled, "cancelled before it was started"));
    const ChildLimits limits = limits_of(*snapshot, request.script, order.timeout);
    std::string input = request.script_input(peer.ip, now_seconds());
    ChildEvents events;
    events.on_start = [entry](const std::shared_ptr<ChildRun>& child) { entry->started(child); };
    if (order.mode == RunOrder::Mode::follow) {
        std::function<std::string(Result<ChildOutcome>)> result = [order, peer,
                                                                   caller](Result<ChildOutcome> outcome) {
            return finished(order.request, peer, caller, std::move(outcome)).body;
        };
        co_return follow_run(host, std::move(*plan), std::move(input), limits, std::move(events),
                             std::move(result));
    }
    if (caller == Caller::ours) events.on_slow = peer.on_slow;
    auto outcome =
        co_await run_child(std::move(*plan), std::move(input), limits, &host.children(), std::move(events));
    co_return finished(request, peer, caller, std::move(outcome));
}

}  // namespace

Caller caller_of(const HttpMessage& request, const AgentConfig& config) {
    if (request.has_header(protocol_header_lower)) return Caller::ours;
    return config.legacy_output_cap ? Caller::capped : Caller::uncapped;
}

HttpAnswer refused_run(const RunRequest& request, const AgentPeer& peer, const Error& why) {
    log_event(LogLevel::notice, why.code == Errc::busy ? "busy" : "deny",
              {{"DISPATCHER", peer.dispatcher},
               {"PEER", peer.ip},
               {"REASON", why.text()},
               {"REQID", request.reqid},
               {"SCRIPT", request.script}});
    json::Value body(json::Object{{"script", echo(request.script)}, {"exit", -1}, {"error", why.message}});
    if (why.code == Errc::busy) body.set("busy", true);
    if (why.code == Errc::cancelled) body.set("cancelled", true);
    body.set("reqid", echo(request.reqid));
    return json_answer(200, body);
}

void set_outcome(json::Value& body, Caller caller, Result<ChildOutcome> result) {
    if (!result) {
        body.set("exit", could_not_execute);
        body.set("stdout", "");
        body.set("stderr", result.error().message);
        return;
    }
    body.set("exit", exit_of(*result));
    if (caller != Caller::ours) {
        tell_in_words(*result);
        if (caller == Caller::capped)
            cap_output(result->output, result->error, legacy_answer_bytes - reserved_bytes);
        result->output = to_utf8(result->output);
        result->error = to_utf8(result->error);
    }
    set_output(body, "stdout", std::move(result->output));
    set_output(body, "stderr", std::move(result->error));
    if (caller == Caller::ours) set_details(body, *result);
}

Result<void> admit_run(const AgentSnapshot& snapshot, AgentHost& host, const std::string& script) {
    const auto most = static_cast<std::size_t>(snapshot.config.max_runs);
    if (host.running() >= most) {
        return fail(Errc::busy, fmt::format("busy: {} scripts run here already, as many as max_runs permits",
                                            host.running()));
    }
    const auto concurrency = snapshot.allowlist.settings(script).concurrency;
    if (concurrency && host.running(script) >= static_cast<std::size_t>(*concurrency)) {
        return fail(Errc::busy, fmt::format("busy: {} runs of {} are under way here, as many as its "
                                            "concurrency permits",
                                            host.running(script), script));
    }
    return success();
}

ChildLimits limits_of(const AgentSnapshot& snapshot, const std::string& script,
                      std::chrono::milliseconds asked) {
    const ScriptSettings& settings = snapshot.allowlist.settings(script);
    ChildLimits limits;
    limits.input_timeout = std::chrono::seconds(snapshot.config.stdin_timeout);
    limits.kill_grace = settings.kill_grace.value_or(snapshot.config.kill_grace);
    limits.output_limit = settings.output_limit.value_or(snapshot.config.output_limit);
    const auto of_script = settings.timeout.value_or(std::chrono::milliseconds(0));
    for (const auto bound : {snapshot.config.run_timeout, of_script, asked}) {
        if (bound.count() == 0) continue;
        limits.run_timeout = limits.run_timeout.count() == 0 ? bound : std::min(limits.run_timeout, bound);
    }
    return limits;
}

asio::awaitable<Result<SpawnPlan>> approve_run(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                               RunRequest request) {
    CO_TRY(auto program, snapshot->allowlist.approve(request.script, snapshot->config.script_dirs));
    AuthRequest question = agent_hook_question(*snapshot, peer, "run", request);
    const auto allowed = co_await ask_agent_hook(snapshot, std::move(question));
    if (!allowed)
        co_return fail(Errc::denied, "not authorised: " + allowed.error().message, allowed.error().detail);
    CO_TRY(SpawnPlan plan, plan_script(std::move(program), snapshot->allowlist.settings(request.script)));
    plan.arguments = std::move(request.arguments);
    co_return std::move(plan);
}

AuthRequest agent_hook_question(const AgentSnapshot& snapshot, const AgentPeer& peer, std::string action,
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

asio::awaitable<HttpAnswer> run_script(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                       HttpMessage request, AgentHost& host) {
    auto parsed = RunRequest::parse(request.body);
    if (!parsed) co_return malformed(peer, parsed.error());
    if (!parsed->problem.empty())
        co_return refused_run(*parsed, peer, fail(Errc::bad_request, parsed->problem));
    const Caller caller = caller_of(request, snapshot->config);
    if (is_serial_update(*snapshot, *parsed)) {
        AgentPeer asking = peer;
        RunRequest update = *parsed;
        const auto updated =
            co_await update_serial(std::move(snapshot), std::move(asking), std::move(update), host);
        co_return finished(*parsed, peer, caller, outcome_of(updated));
    }
    RunOrder order;
    order.request = std::move(*parsed);
    co_return co_await carry_out(std::move(snapshot), std::move(peer), std::move(order), caller, host);
}

asio::awaitable<HttpAnswer> run_order(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                      HttpMessage request, AgentHost& host) {
    auto order = RunOrder::parse(request.body);
    if (!order) co_return malformed(peer, order.error());
    if (!order->request.problem.empty())
        co_return refused_run(order->request, peer, fail(Errc::bad_request, order->request.problem));
    if (order->mode == RunOrder::Mode::detach)
        co_return co_await detach_run(std::move(snapshot), std::move(peer), std::move(*order), host);
    co_return co_await carry_out(std::move(snapshot), std::move(peer), std::move(*order), Caller::ours, host);
}

asio::awaitable<HttpAnswer> cancel_run(AgentPeer peer, HttpMessage request, AgentHost& host) {
    const auto body = json::parse(request.body, max_cancel_body);
    const std::string reqid = body ? body->scalar("reqid") : std::string();
    const bool found = !reqid.empty() && host.runs().cancel(peer.dispatcher, reqid) > 0;
    std::string state("cancelling");
    if (!found) state = co_await cancel_job(peer, reqid, host);
    co_return cancel_answer(peer, reqid, state);
}

}  // namespace ctrlexec
