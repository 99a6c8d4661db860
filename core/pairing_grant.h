// What pairing gives an agent and the registry, whether an operator or a join token has approved it.
#pragma once

#include <string>

#include "core/certificate.h"
#include "core/json.h"
#include "core/pairing_queue.h"
#include "core/registry.h"

namespace ctrlexec {

// The record of the new agent, without how it is trusted; `paired` is ISO 8601.
AgentRecord record_of(const PairingRequest& request, const Certificate& certificate,
                      const std::string& dispatcher_serial, const std::string& paired);

// The last answer, without a mac.
json::Object approved_answer(const PairingRequest& request, const Certificate& certificate,
                             const std::string& ca_pem, const std::string& dispatcher_serial,
                             const std::string& dispatcher_id);

}  // namespace ctrlexec
