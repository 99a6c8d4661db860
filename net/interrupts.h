// Ctrl-C while a run is waited for: the first asks, the second cancels the script, the third ends us.
#pragma once

#include <asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/async_runs.h"
#include "net/dispatch.h"
#include "net/run_batches.h"
#include "net/runtime.h"

namespace ctrlexec {

// Carries the batches out, with `on_output` as in Dispatch::run. A SIGINT says through `say` of whom there is
// no result yet; the next one stops what has not begun, asks the agents of the others to cancel the run, and
// waits a bounded time for what comes of it; one more ends the wait at once. True when it was interrupted
// twice. Hosts that have no result then get one: missing, or skipped when they had not begun.
asio::awaitable<bool> run_interruptibly(Runtime& runtime, std::shared_ptr<const AsyncRuns> runs,
                                        std::shared_ptr<const Dispatch> dispatch,
                                        std::shared_ptr<BatchedRun> batches, HostLocks locks,
                                        OnOutput on_output, std::function<void(std::string)> say);

}  // namespace ctrlexec
