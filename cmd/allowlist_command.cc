#include "cmd/allowlist_command.h"

#include "cmd/print.h"
#include "net/agent_control.h"

namespace ctrlexec {

Result<AgentConfig> load_agent_config(const Invocation& call) {
    TRY(AgentConfig config, AgentConfig::load(call.text("--config", default_agent_config)));
    if (call.has("--allowlist")) config.allowlist = call.text("--allowlist");
    return config;
}

int reload_after_change(const Invocation& call, const AgentConfig& config) {
    const auto done = order_agent(config.path, AgentOrder::reload);
    if (done) {
        print_out("The agent works with it now.\n");
    } else if (done.error().code == Errc::not_found) {
        print_out("No agent serves here now; the next start reads it.\n");
    } else {
        print_error_line(call.program +
                         ": the file is changed, but the agent did not reload: " + done.error().text());
        return info(done.error().code).exit_code;
    }
    return 0;
}

}  // namespace ctrlexec
