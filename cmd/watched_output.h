// How an asynchronous run stands, as `status` and `wait` show it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cmd/applet.h"
#include "core/run_store.h"
#include "net/async_runs.h"

namespace ctrlexec {

// A run that somebody has submitted: under way, or completed.
struct FoundRun {
    std::shared_ptr<WatchedRun> watched;  // null: `stored` has all results
    StoredRun stored;
};

Result<FoundRun> find_run(Runtime& runtime, const AsyncRuns& runs, const DispatcherConfig& config,
                          const std::string& reqid);

// "==> HOST  [PENDING  …]" for each host without a result; to stdout.
void print_pending(const WatchedRun& watched);

// One line of JSON, the same for a run under way and one that is complete.
void print_run_json(const FoundRun& found);

// 0 all ok, 1 something failed, 2 still pending.
int exit_code_of(const FoundRun& found);

// Of hosts that have one.
std::vector<RunResult> results_of(const FoundRun& found);

}  // namespace ctrlexec
