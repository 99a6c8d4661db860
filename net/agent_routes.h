// The agent's routes: a request of a known peer in, an answer out.
#pragma once

#include <asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "net/agent_snapshot.h"
#include "net/http_message.h"
#include "net/http_session.h"

namespace ctrlexec {

class AgentHost;

struct AgentPeer {
    std::string ip;
    std::string serial;      // of the peer's certificate, normal form
    std::string dispatcher;  // id of the trusted dispatcher it is; "" until that is known
    // Lets a peer of ours know that the answer takes its time. Empty: it cannot be told.
    std::function<asio::awaitable<void>()> on_slow;
};

// `host` must outlive the call.
asio::awaitable<HttpAnswer> answer_request(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                           HttpMessage request, AgentHost& host);

// What the caller named, as it is said back to it. A name without end would be an answer without end, and an
// old dispatcher hangs on one over 64 KiB.
std::string echo(const std::string& text);

// {"error": TEXT} with the status that belongs to the error.
HttpAnswer error_answer(const Error& error);

}  // namespace ctrlexec
