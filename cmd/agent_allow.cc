// Usage: allow NAME PATH [SETTING=VALUE]...
// Puts `NAME = PATH SETTING=VALUE` into scripts.conf, in place of the name's old line, whose settings stay
// when none are given, and lets the agent that serves here reload. Refuses what could not be run: not there,
// not executable, outside script_dirs, for a user that does not exist.
#include <fmt/format.h>

#include "cmd/allowlist_command.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/allowlist.h"
#include "core/allowlist_edit.h"
#include "core/log.h"

namespace ctrlexec {
namespace {

// The settings as they stand in the file.
std::string settings_of(const Invocation& call) {
    std::string text;
    for (std::size_t i = 2; i < call.operands.size(); ++i)
        text += (i == 2 ? "" : " ") + quoted_setting(call.operands[i]);
    return text;
}

Result<AllowlistChange> allow(const AgentConfig& config, const std::string& line, const std::string& name,
                              const std::string& path, const std::string& settings) {
    TRY_DO(Allowlist::parse(config.allowlist, line).check_runnable(name, config.script_dirs));
    return allow_in_file(config.allowlist, name, path, settings);
}

}  // namespace

int agent_allow(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    const std::string& name = call.operands[0];
    const std::string& path = call.operands[1];
    const std::string settings = settings_of(call);
    const auto line = allowed_in({}, name, path, settings);
    if (!line) return report(call, line.error());
    const auto config = load_agent_config(call);
    if (!config) return report(call, config.error());
    const auto change = allow(*config, *line, name, path, settings);
    if (!change) return report(call, change.error());
    const std::string done = *change == AllowlistChange::none       ? "was allowed already"
                             : *change == AllowlistChange::replaced ? "is allowed, in place of its old line"
                                                                    : "is allowed";
    print_out(fmt::format("{} = {}{}{} {}: {}\n", name, path, settings.empty() ? "" : " ", settings, done,
                          config->allowlist));
    return reload_after_change(call, *config);
}

}  // namespace ctrlexec
