// Usage: self-ping
// Mutual TLS to the agent that serves here, as a dispatcher does it: "Healthy: …" and exit 0, or "Not
// healthy. Reason: …" and exit 1. Being told that this certificate is no dispatcher's is health too.
#include <fmt/format.h>

#include "cmd/agent_health.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/log.h"
#include "core/target.h"

namespace ctrlexec {

int agent_self_ping(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    const auto config = AgentConfig::load(call.text("--config", default_agent_config));
    if (!config) return report(call, config.error());
    if (const auto healthy = ping_self(*config, std::chrono::seconds(10)); !healthy) {
        print_out(fmt::format("Not healthy. Reason: {}\n", healthy.error().text()));
        return 1;
    }
    print_out(fmt::format("Healthy: {} answers\n", host_port(own_address(config->bind), config->port)));
    return 0;
}

}  // namespace ctrlexec
