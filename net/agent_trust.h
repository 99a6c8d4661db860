// What a trusted dispatcher may change of the agent: its certificate, the serials of that dispatcher, and the
// list of revoked ones.
#pragma once

#include <asio/awaitable.hpp>
#include <memory>
#include <string>

#include "core/run_request.h"
#include "net/agent_host.h"
#include "net/agent_routes.h"
#include "net/agent_snapshot.h"
#include "net/http_message.h"
#include "net/http_session.h"

namespace ctrlexec {

// The script name by which old programs announce a dispatcher's new serial.
inline constexpr std::string_view update_serial_script = "update-ctrl-exec-serial";

bool is_trust_route(const HttpMessage& request);

// /renew, /renew-complete, /rotate-serial, /revoke. What is refused is told with status 200 and
// {"status":"error","error":WHY,"reqid"}.
asio::awaitable<HttpAnswer> answer_trust_request(std::shared_ptr<const AgentSnapshot> snapshot,
                                                 AgentPeer peer, HttpMessage request, AgentHost& host);

// What `update-ctrl-exec-serial SERIAL` does where no script has that name.
asio::awaitable<Result<void>> update_serial(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                            RunRequest request, AgentHost& host);

}  // namespace ctrlexec
