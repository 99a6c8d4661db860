// One request to one agent over mutual TLS.
#pragma once

#include <asio/awaitable.hpp>
#include <memory>

#include "core/result.h"
#include "net/agent_call.h"
#include "net/agent_pool.h"
#include "net/http_message.h"
#include "net/runtime.h"
#include "net/tls_context.h"

namespace ctrlexec {

// The answer, whatever its status. Errors have distinct words for: name, refused, unreachable, timed out, TLS
// and why, closed without an answer, malformed. Without a pool each call has a connection of its own;
// connect, handshake and send follow without a pause, since an old agent serves nobody else meanwhile.
//
// With one, an agent of ours is called over a kept connection. A request that fails there is sent again, over
// a new one, only if the agent has certainly not taken it or the call is repeatable.
asio::awaitable<Result<HttpMessage>> call_agent(Runtime& runtime, std::shared_ptr<TlsContext> tls,
                                                AgentCall call, std::shared_ptr<AgentPool> pool = nullptr);

}  // namespace ctrlexec
