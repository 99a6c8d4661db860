// Running a script for a dispatcher: the gates it passes, its limits, its result.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "core/auth_request.h"
#include "core/run_order.h"
#include "core/spawn.h"
#include "net/agent_host.h"
#include "net/agent_routes.h"
#include "net/agent_snapshot.h"
#include "net/child.h"
#include "net/http_message.h"
#include "net/http_session.h"

namespace ctrlexec {

// What the caller can take: ours everything; an old dispatcher hangs on long answers.
enum class Caller : std::uint8_t { ours, capped, uncapped };
Caller caller_of(const HttpMessage& request, const AgentConfig& config);

// POST /run.
asio::awaitable<HttpAnswer> run_script(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                       HttpMessage request, AgentHost& host);

// POST /runs: the same for peers of ours, with what the caller may ask beyond it.
asio::awaitable<HttpAnswer> run_order(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                      HttpMessage request, AgentHost& host);

// POST /cancel.
asio::awaitable<HttpAnswer> cancel_run(AgentPeer peer, HttpMessage request, AgentHost& host);

// A request that was understood but not executed: the baseline's HTTP status for that is 200. It is logged.
HttpAnswer refused_run(const RunRequest& request, const AgentPeer& peer, const Error& why);

// The answer's members for what became of a script, without script and reqid.
void set_outcome(json::Value& body, Caller caller, Result<ChildOutcome> result);

// Errc::busy when no further script may begin, or none of that name.
Result<void> admit_run(const AgentSnapshot& snapshot, AgentHost& host, const std::string& script);

// What bounds a run of `script`: the least of what its caller, its line and the configuration say. `asked`
// may be 0.
ChildLimits limits_of(const AgentSnapshot& snapshot, const std::string& script,
                      std::chrono::milliseconds asked);

// Allowlist and auth hook.
asio::awaitable<Result<SpawnPlan>> approve_run(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                               RunRequest request);

AuthRequest agent_hook_question(const AgentSnapshot& snapshot, const AgentPeer& peer, std::string action,
                                const RunRequest& request);
asio::awaitable<Result<void>> ask_agent_hook(std::shared_ptr<const AgentSnapshot> snapshot,
                                             AuthRequest question);

}  // namespace ctrlexec
