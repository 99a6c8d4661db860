// The agent's routes about detached jobs.
#pragma once

#include <asio/awaitable.hpp>
#include <memory>
#include <string>

#include "core/run_order.h"
#include "net/agent_host.h"
#include "net/agent_routes.h"
#include "net/agent_snapshot.h"
#include "net/http_message.h"
#include "net/http_session.h"

namespace ctrlexec {

// GET /result/REQID and POST /follow.
bool is_job_route(const HttpMessage& request);
asio::awaitable<HttpAnswer> answer_job_request(AgentPeer peer, HttpMessage request, AgentHost& host);

// POST /runs with the mode "detach". The second submission of a job passes no gates: it runs nothing.
asio::awaitable<HttpAnswer> detach_run(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                       RunOrder order, AgentHost& host);

// POST /cancel, when no run that somebody waits for has that id. Returns the state to tell.
asio::awaitable<std::string> cancel_job(AgentPeer peer, std::string reqid, AgentHost& host);

}  // namespace ctrlexec
