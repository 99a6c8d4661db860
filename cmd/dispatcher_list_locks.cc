// Usage: list-locks
// HOST, SCRIPT, REQID, PID, SINCE of every run that holds a lock now.
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/json.h"
#include "core/run_locks.h"

namespace ctrlexec {

int dispatcher_list_locks(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto locks = RunLocks(config->locks_dir()).held();
    if (!locks) return report(call, locks.error());
    if (call.has("--json")) {
        json::Array array;
        for (const auto& lock : *locks) {
            array.emplace_back(json::Object{{"lock", lock.name},
                                            {"host", lock.host},
                                            {"script", lock.script},
                                            {"reqid", lock.reqid},
                                            {"pid", lock.pid},
                                            {"since", lock.since}});
        }
        print_out(json::dump(json::Object{{"ok", 1}, {"locks", std::move(array)}}) + "\n");
        return 0;
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& lock : *locks) {
        const std::string& host = lock.host.empty() ? lock.name : lock.host;
        rows.push_back({host, lock.script, lock.reqid, lock.pid, lock.since});
    }
    print_out(format_table({"HOST", "SCRIPT", "REQID", "PID", "SINCE"}, rows));
    return 0;
}

}  // namespace ctrlexec
