// What a run would be: --dry-run shows it, and on a terminal a large one is asked about.
#pragma once

#include "cmd/run_options.h"

namespace ctrlexec {

// --dry-run. Nobody is asked for anything: of each host where it would be reached, and in which batch.
int print_preview(const Invocation& call, const DispatcherConfig& config, const RunOptions& options,
                  const RunRequest& request, const std::vector<Target>& targets);

// Errc::cancelled when the operator does not want to run it on so many hosts.
Result<void> confirm_run(const Invocation& call, const DispatcherConfig& config, const RunRequest& request,
                         std::size_t hosts);

}  // namespace ctrlexec
