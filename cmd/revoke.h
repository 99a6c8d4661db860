// What revoke and unpair --revoke share.
#pragma once

#include <string>

#include "core/dispatcher_config.h"
#include "core/registry.h"
#include "core/result.h"

namespace ctrlexec {

struct Revoked {
    std::string serial;
    bool changed = false;  // false: it was revoked before
};

// The certificate of a registered agent, or the serial itself. Errc::usage when it is neither; Errc::denied
// for the serial of the dispatcher's own certificate. Logs it.
Result<Revoked> revoke_certificate(const DispatcherConfig& config, const std::string& name_or_serial);

Result<Revoked> revoke_agent(const DispatcherConfig& config, const AgentRecord& agent);

}  // namespace ctrlexec
