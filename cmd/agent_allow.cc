// Usage: allow NAME PATH
// Puts `NAME = PATH` into scripts.conf, in place of the name's old line, and lets the agent that serves here
// reload. Refuses what could not be run: not there, not executable, outside script_dirs.
#include <fmt/format.h>

#include "cmd/allowlist_command.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/allowlist.h"
#include "core/allowlist_edit.h"
#include "core/log.h"

namespace ctrlexec {
namespace {

Result<AllowlistChange> allow(const AgentConfig& config, const std::string& name, const std::string& path) {
    TRY(const std::string line, allowed_in({}, name, path));
    TRY_DO(Allowlist::parse(config.allowlist, line).check_runnable(name, config.script_dirs));
    return allow_in_file(config.allowlist, name, path);
}

}  // namespace

int agent_allow(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    const auto config = load_agent_config(call);
    if (!config) return report(call, config.error());
    const std::string& name = call.operands[0];
    const std::string& path = call.operands[1];
    const auto change = allow(*config, name, path);
    if (!change) return report(call, change.error());
    const std::string done = *change == AllowlistChange::none       ? "was allowed already"
                             : *change == AllowlistChange::replaced ? "is allowed, in place of its old line"
                                                                    : "is allowed";
    print_out(fmt::format("{} = {} {}: {}\n", name, path, done, config->allowlist));
    return reload_after_change(call, *config);
}

}  // namespace ctrlexec
