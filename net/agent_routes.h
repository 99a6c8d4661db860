// The agent's routes: a request of a known peer in, an answer out.
#pragma once

#include <asio/awaitable.hpp>
#include <memory>
#include <string>

#include "net/agent_snapshot.h"
#include "net/http_message.h"
#include "net/http_session.h"

namespace ctrlexec {

class RunningChildren;

struct AgentPeer {
    std::string ip;
    std::string serial;  // of the peer's certificate, normal form
};

// `children` may be null and must outlive the call.
asio::awaitable<HttpAnswer> answer_request(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                           HttpMessage request, RunningChildren* children);

// {"error": TEXT} with the status that belongs to the error.
HttpAnswer error_answer(const Error& error);

}  // namespace ctrlexec
