// Usage: config show
// KEY, VALUE, ORIGIN of every key of agent.conf, as serve would take it.
#include "core/agent_config.h"
#include "cmd/print.h"
#include "cmd/show_settings.h"
#include "cmd/verbs.h"

namespace ctrlexec {

int agent_config(const Invocation& call) {
    if (const auto asked = check_show(call); !asked) return report(call, asked.error());
    const auto config = AgentConfig::load(call.text("--config", default_agent_config));
    if (!config) return report(call, config.error());
    return show_settings(call, config->path, config->settings, config->warnings, AgentConfig::places());
}

}  // namespace ctrlexec
