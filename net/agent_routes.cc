#include "net/agent_routes.h"

#include "core/log.h"
#include "core/output_cap.h"
#include "core/run_request.h"
#include "core/utf8.h"
#include "net/agent_host.h"
#include "net/agent_job_routes.h"
#include "net/agent_runs.h"
#include "net/agent_trust.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_ping_body = 64 * 1024;
constexpr std::size_t max_echo = 1024;

HttpAnswer discovery_denied(const AgentPeer& peer, const Error& why) {
    log_event(LogLevel::notice, "capabilities-deny",
              {{"DISPATCHER", peer.dispatcher}, {"PEER", peer.ip}, {"REASON", why.text()}});
    return json_answer(403, json::Object{{"error", "not authorised: " + why.message}});
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
    for (const auto& [name, entry] : snapshot.allowlist.scripts()) {
        const bool executable =
            snapshot.allowlist.check_runnable(name, snapshot.config.script_dirs).has_value();
        scripts.emplace_back(json::Object{{"name", name}, {"path", entry.path}, {"executable", executable}});
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
    AuthRequest question = agent_hook_question(*snapshot, peer, "discovery", RunRequest());
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
    const bool is_order = post && request.target == "/runs";
    const bool is_cancel = post && request.target == "/cancel";
    const bool is_ping = post && request.target == "/ping";
    const bool is_capabilities = request.method == "GET" && request.target == "/capabilities";
    const bool is_trust = is_trust_route(request);
    if (!is_run && !is_order && !is_cancel && !is_ping && !is_capabilities && !is_trust &&
        !is_job_route(request))
        co_return not_found();
    const TrustedDispatcher* dispatcher = snapshot->dispatcher_of(peer.serial);
    if (dispatcher == nullptr) co_return not_trusted(peer, request.target);
    peer.dispatcher = dispatcher->id;
    if (is_run) co_return co_await run_script(std::move(snapshot), std::move(peer), std::move(request), host);
    if (is_order)
        co_return co_await run_order(std::move(snapshot), std::move(peer), std::move(request), host);
    if (is_cancel) co_return co_await cancel_run(std::move(peer), std::move(request), host);
    if (is_job_route(request))
        co_return co_await answer_job_request(std::move(peer), std::move(request), host);
    if (is_trust)
        co_return co_await answer_trust_request(std::move(snapshot), std::move(peer), std::move(request),
                                                host);
    if (is_ping) co_return ping(*snapshot, peer, request);
    const Caller caller = caller_of(request, snapshot->config);
    co_return co_await discover(std::move(snapshot), std::move(peer), caller);
}

}  // namespace ctrlexec
