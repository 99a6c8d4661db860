// Usage: reload
// What SIGHUP does, for where there is no kill(1), and it tells how it went: exit 0 once the agent that
// serves here works with the new files, 78 when it could not read them and goes on with the old ones, 1 when
// there is none.
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/agent_config.h"
#include "core/log.h"
#include "net/agent_control.h"

namespace ctrlexec {

int agent_reload(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    const auto config = AgentConfig::load(call.text("--config", default_agent_config));
    if (!config) return report(call, config.error());
    const auto done = order_agent(config->path, AgentOrder::reload);
    if (!done) return report(call, done.error());
    print_out("Reloaded.\n");
    return 0;
}

}  // namespace ctrlexec
