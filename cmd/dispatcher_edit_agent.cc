// Usage: edit-agent NAME [--rename NEW] [--ip ADDRESS] [--agent-port N] [--lookup-by ip|hostname]
// Changes where a registered agent is looked for, or what it is called here. Its certificate keeps its name,
// and its identity is its key.
#include <fmt/format.h>

#include "cmd/agent_place.h"
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/hostname.h"
#include "core/join_redemption.h"
#include "core/log.h"
#include "core/registry.h"
#include "core/target.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

struct Edit {
    std::optional<std::string> name, ip, lookup_by;
    std::optional<int> port;
};

Result<Edit> read_edit(const Invocation& call) {
    Edit edit;
    TRY(edit.port, agent_port_option(call));
    TRY(edit.lookup_by, lookup_option(call));
    if (call.has("--ip")) edit.ip = call.text("--ip");
    if (call.has("--rename")) edit.name = call.text("--rename");
    if (edit.ip && !is_ip_address(*edit.ip)) return fail(Errc::usage, "--ip must be an IP address");
    if (edit.name && !is_valid_hostname(*edit.name))
        return fail(Errc::usage, "--rename must be a name of letters, digits, '.', '-' and '_'");
    if (!edit.port && !edit.lookup_by && !edit.ip && !edit.name)
        return fail(Errc::usage, "say what to change: --rename, --ip, --agent-port or --lookup-by");
    return edit;
}

void apply(const Edit& edit, AgentRecord& record) {
    if (edit.port) record.agent_port = *edit.port;
    if (edit.lookup_by) record.lookup_by = *edit.lookup_by;
    if (edit.ip) record.ip = *edit.ip;
    if (!edit.name) return;
    record.cn = record.common_name();
    record.hostname = *edit.name;
    if (record.cn == record.hostname) record.cn.clear();
}

// The new record is there before the old one goes: cut short, the agent is registered twice, never not at
// all.
Result<AgentRecord> carry_out(const DispatcherConfig& config, const std::string& name, const Edit& edit) {
    const Registry registry(config.agents_dir());
    TRY(const FileLock held, registry.lock());
    TRY(AgentRecord record, registry.find(name));
    apply(edit, record);
    const bool moves = record.hostname != name;
    if (moves) {
        const auto taken = registry.find(record.hostname);
        if (taken || taken.error().code != Errc::not_found)
            return fail(Errc::exists,
                        fmt::format("an agent '{}' is registered already; unpair it first", record.hostname));
    }
    // Its request would else register it under the old name once more.
    if (moves) TRY_DO(withdraw_redemption(config, record, now_seconds()));
    TRY_DO(registry.save(record));
    if (moves) TRY_DO(registry.remove(name));
    return record;
}

}  // namespace

int dispatcher_edit_agent(const Invocation& call) {
    const auto edit = read_edit(call);
    if (!edit) return report(call, edit.error());
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto record = carry_out(*config, call.operands[0], *edit);
    if (!record) return report(call, record.error());
    log_event(LogLevel::notice, "edit-agent", {{"HOST", call.operands[0]}, {"NAME", record->hostname}});
    if (call.has("--json")) {
        print_out(json::dump(json::Object{{"ok", 1}, {"agent", record->to_json()}}) + "\n");
    } else {
        print_out(fmt::format("Changed: {} ({}), port {}, looked up by {}.\n", record->hostname,
                              printable(record->ip),
                              record->agent_port == 0 ? "default" : std::to_string(record->agent_port),
                              record->lookup_by == "ip" ? "ip" : "hostname"));
    }
    return 0;
}

}  // namespace ctrlexec
