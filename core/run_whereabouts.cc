#include "core/run_whereabouts.h"

#include "core/run_locks.h"
#include "core/submitted_runs.h"

namespace ctrlexec {

Result<RunWhereabouts> find_whereabouts(const std::string& runs_directory, const std::string& locks_directory,
                                        std::string_view reqid) {
    RunWhereabouts found;
    const auto submitted = SubmittedRuns(runs_directory).find(reqid);
    if (submitted) {
        found.script = submitted->script;
        for (const auto& host : submitted->hosts) {
            if (host.state == SubmittedHost::State::done) {
                found.done.push_back(host.target.host);
            } else {
                found.pending.push_back(host.target);
            }
        }
        return found;
    }
    if (submitted.error().code != Errc::not_found) return submitted.error();
    const auto stored = RunStore(runs_directory).find(reqid);
    if (stored) {
        found.script = stored->script;
        found.done = stored->hosts;
        return found;
    }
    if (stored.error().code != Errc::not_found) return stored.error();
    TRY(const std::vector<HeldLock> locks, RunLocks(locks_directory).held());
    for (const auto& lock : locks) {
        if (lock.reqid != reqid || lock.host.empty()) continue;
        found.script = lock.script;
        found.pending.push_back({lock.host, 0});
    }
    return found;
}

}  // namespace ctrlexec
