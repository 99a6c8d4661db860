// How `run` goes: in the foreground, where results are waited for, or in the background.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "cmd/applet.h"
#include "cmd/output_format.h"
#include "core/batch_plan.h"
#include "core/dispatcher_config.h"
#include "core/run_request.h"
#include "core/run_summary.h"
#include "core/target.h"
#include "net/dispatch.h"

namespace ctrlexec {

struct RunOptions {
    std::optional<std::chrono::milliseconds> timeout;
    std::optional<MinSuccess> enough;
    BatchPlan batches;
    bool background = false;
    bool follow = false;
    OutputFormat format = OutputFormat::table;
    bool grouped = false;   // equal results are folded together at the end
    bool progress = false;  // a bar on stderr, where that is a terminal
};

// Errc::usage for what is wrong, or does not go together. Without what depends on the number of hosts.
Result<RunOptions> run_options(const Invocation& call);
// --min-success and --batch, of so many hosts.
Result<void> add_shares(const Invocation& call, std::size_t hosts, RunOptions& options);

// --follow, which prints for people.
Result<bool> follow_option(const Invocation& call);

// A duration that an option gives; nothing when it is not there.
Result<std::optional<std::chrono::milliseconds>> duration_option(const Invocation& call,
                                                                 const std::string& option);

// A run that is permitted and locked.
struct PlannedRun {
    Invocation call;
    RunOptions options;
    DispatcherConfig config;
    std::shared_ptr<const Dispatch> dispatch;
    std::vector<Target> targets;
    std::shared_ptr<const RunRequest> request;
    HostLocks locks;
};

int run_in_foreground(Runtime& runtime, PlannedRun plan);
int run_in_background(Runtime& runtime, PlannedRun plan);

}  // namespace ctrlexec
