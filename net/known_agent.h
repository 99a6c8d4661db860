// Where a registered agent is, and whether the one that answers there is that agent.
#pragma once

#include <asio/awaitable.hpp>
#include <optional>

#include "core/registry.h"
#include "core/result.h"
#include "core/target.h"
#include "net/agent_call.h"
#include "net/runtime.h"

namespace ctrlexec {

struct Destination {
    AgentAddress address;
    std::string session;               // TLS, to be resumed; "" for none
    std::optional<AgentRecord> agent;  // what the registry says of it; nothing for an unknown name
};

// A name that the registry does not know is looked up as it stands. Reads a file.
Result<Destination> destination_of(const Target& target, const Registry& registry, int default_port);

// Every agent of the deployment has a certificate of the same CA, so that alone does not say who answers.
// Errc::key_mismatch when the key is not the registered one. Where none is registered yet (a record of an old
// dispatcher) the certificate must not be that of another registered agent.
asio::awaitable<Result<void>> check_identity(Runtime& runtime, Registry registry, AgentRecord agent,
                                             PeerIdentity peer);

// After an answer: records the key when none was, and serial and expiry of a certificate that is newer than
// the recorded one (the answer to a renewal may have been lost). A failure is only logged.
asio::awaitable<void> learn_identity(Runtime& runtime, Registry registry, AgentRecord agent,
                                     PeerIdentity peer);

}  // namespace ctrlexec
