// The configuration files of a container's first start, made of its environment variables.
#pragma once

#include <functional>
#include <string>

#include "core/result.h"
#include "core/target.h"

namespace ctrlexec {

// The value of an environment variable; "" when it is not set.
using Variables = std::function<std::string(const char* name)>;

// ctrl-exec.conf for `path`, of API_BIND, API_PORT, API_AUTH_DEFAULT and READ_TIMEOUT. Its certificates lie
// beside it; an auth hook is named when the file auth-hook is there too. `state_dir` "" leaves the default.
// Errc::config names the variable that cannot be used.
Result<std::string> first_dispatcher_config(const std::string& path, const std::string& state_dir,
                                            const Variables& variables);

// agent.conf for `path`; everything lies beside it.
std::string first_agent_config(const std::string& path, const std::string& state_dir);

// scripts.conf: nothing is allowed yet.
std::string first_allowlist();

struct PairingPlan {
    Target dispatcher;  // DISPATCHER_HOST
    std::string name;   // as it was written
    bool wait = true;   // AGENT_PAIRING: until there is an answer, or ask once and exit
};

// Errc::config names the variable that cannot be used; DISPATCHER_HOST must be set.
Result<PairingPlan> read_pairing_plan(const Variables& variables);

}  // namespace ctrlexec
