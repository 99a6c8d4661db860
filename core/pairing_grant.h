// What pairing gives an agent and the registry, whether an operator or a join token has approved it.
#pragma once

#include <cstdint>
#include <string>

#include "core/certificate.h"
#include "core/dispatcher_config.h"
#include "core/json.h"
#include "core/pairing_queue.h"
#include "core/registry.h"
#include "core/result.h"

namespace ctrlexec {

// Of version 2: the agent takes nothing else than the CA and the serial that it was told first. A certificate
// that a rotation has replaced meanwhile still counts while it is kept: the agent is told of the new one when
// it is called (net/introduction). Returns the registry's word for what it trusts: "current", or "pending"
// for one that is only kept. Errc::busy when the agent must ask again.
Result<std::string> check_offer(const DispatcherConfig& config, const PairingRequest& request,
                                std::int64_t now);

// The record of the new agent, without how it is trusted; `paired` is ISO 8601.
AgentRecord record_of(const PairingRequest& request, const Certificate& certificate,
                      const std::string& dispatcher_serial, const std::string& paired);

// The last answer, without a mac.
json::Object approved_answer(const PairingRequest& request, const Certificate& certificate,
                             const std::string& ca_pem, const std::string& dispatcher_serial,
                             const std::string& dispatcher_id);

}  // namespace ctrlexec
