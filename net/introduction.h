// Agents that refuse our certificate because they have missed a rotation: they trust an earlier one, which is
// kept.
#pragma once

#include <asio/awaitable.hpp>
#include <string>

#include "core/dispatcher_config.h"
#include "core/result.h"
#include "net/agent_call.h"
#include "net/http_message.h"
#include "net/runtime.h"

namespace ctrlexec {

// Whether an agent has refused to do anything because it does not know the serial of our certificate.
bool does_not_know_us(const HttpMessage& answer);

// What follows on such an answer to `call`, made with the certificate of `serial`. When that is not the one
// in use any more, the call is made with the one in use. Else the agent is told of it with the certificate
// that it trusts, and the call is made again; an agent that cannot learn (an old one without the script) is
// called with the certificate that it trusts. The registry is told what has turned out. `refusal` when
// nothing helps.
asio::awaitable<Result<HttpMessage>> call_after_introduction(Runtime& runtime, DispatcherConfig config,
                                                             std::string serial, AgentCall call,
                                                             HttpMessage refusal);

}  // namespace ctrlexec
