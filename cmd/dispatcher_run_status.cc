// Usage: run-status REQID
// The stored results of a finished run, as run prints them. Exit 0 when the script had exited 0 on every
// host, else 1.
#include <fmt/format.h>

#include <algorithm>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/run_output.h"
#include "cmd/verbs.h"
#include "core/run_store.h"
#include "core/submitted_runs.h"

namespace ctrlexec {
namespace {

Result<StoredRun> find_completed(const DispatcherConfig& config, const std::string& reqid) {
    auto run = RunStore(config.runs_dir()).find(reqid);
    if (run || run.error().code != Errc::not_found) return run;
    if (SubmittedRuns(config.runs_dir()).find(reqid))
        return fail(Errc::not_found, fmt::format("run '{}' is still under way; see status {}", reqid, reqid));
    return run;
}

}  // namespace

int dispatcher_run_status(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto run = find_completed(*config, call.operands[0]);
    if (!run) return report(call, run.error());
    std::vector<RunResult> results;
    for (const auto& value : run->results) results.push_back(RunResult::from_record(value));
    if (call.has("--json")) {
        print_out(json::dump(run->to_answer(1)) + "\n");
    } else {
        RunOutput human;
        for (const auto& result : results) human.print(result);
    }
    const bool all_ok =
        std::all_of(results.begin(), results.end(), [](const RunResult& r) { return r.ok(); });
    return all_ok && !results.empty() ? 0 : 1;
}

}  // namespace ctrlexec
