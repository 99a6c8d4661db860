// A join token's word in place of the operator's: check it, consume a use, sign, register.
//
// One use is one file, JOIN-TOKEN/DIGEST.json, written before the certificate in it can get out. Whatever
// ends the process: the same request gets that same certificate again, and no second one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/dispatcher_config.h"
#include "core/json.h"
#include "core/pairing_offer.h"
#include "core/pairing_queue.h"
#include "core/registry.h"
#include "core/result.h"

namespace ctrlexec {

// Mac and terms; nothing is changed. The message is what the agent is told. Errc::denied: the token does not
// permit it, which counts as a probe; Errc::exists: another agent has the name. Anything else is a failure of
// ours. Takes the same time for a token that does not exist and for a wrong mac.
Result<void> check_join(const DispatcherConfig& config, const PairingRequest& request,
                        const PairingOffer& offer, std::int64_t now);

struct Joined {
    json::Value answer;  // the last one, whole
    AgentRecord agent;
    std::string serial;     // of the certificate
    bool again = false;     // nothing was signed: the answer had been lost
    bool replaced = false;  // an agent of that name was registered; its certificate is revoked
};

// Checks again, under the lock; errors as above, and Errc::busy when our certificates are not those of
// `offer` any more. Blocks and signs: on a worker. Logs join.
Result<Joined> redeem_join(const DispatcherConfig& config, const PairingRequest& request,
                           const PairingOffer& offer, std::int64_t now);

// The agent leaves, is replaced or gets another name: its request gets nothing any more. Call with the
// registry's lock held, before the record goes.
Result<void> withdraw_redemption(const DispatcherConfig& config, const AgentRecord& agent, std::int64_t now);

// The agent that has the name now. A record that cannot be read is in the way too, without key and serial.
std::optional<AgentRecord> find_registered(const Registry& registry, const std::string& hostname);

// Revokes the certificate of the agent whose place another takes, if its serial was recorded, and withdraws
// its redemption. With the registry's lock held.
Result<void> revoke_replaced(const DispatcherConfig& config, const AgentRecord& agent, std::int64_t now);

}  // namespace ctrlexec
