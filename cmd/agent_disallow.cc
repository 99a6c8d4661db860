// Usage: disallow NAME
// Takes a script off scripts.conf and lets the agent that serves here reload. Exit 1 when it was not there.
#include <fmt/format.h>

#include "cmd/allowlist_command.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/allowlist_edit.h"
#include "core/log.h"
#include "core/utf8.h"

namespace ctrlexec {

int agent_disallow(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    const auto config = load_agent_config(call);
    if (!config) return report(call, config.error());
    const std::string name = printable(call.operands[0]);
    const auto change = disallow_in_file(config->allowlist, call.operands[0]);
    if (!change) return report(call, change.error());
    if (*change == AllowlistChange::none) {
        return report(call,
                      fail(Errc::not_found, fmt::format("no script '{}' in {}", name, config->allowlist)));
    }
    print_out(fmt::format("{} is not allowed any more: {}\n", name, config->allowlist));
    return reload_after_change(call, *config);
}

}  // namespace ctrlexec
