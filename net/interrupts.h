// Ctrl-C while a run is waited for: the first asks, the second cancels the script, the third ends us.
#pragma once

#include <asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/async_runs.h"
#include "net/dispatch.h"
#include "net/runtime.h"

namespace ctrlexec {

// Dispatch::run, with `on_output` as there. A SIGINT says through `say` of whom there is no result yet; the
// next one asks those agents to cancel the run, and waits a bounded time for what comes of it; one more ends
// the wait at once. True when it was interrupted twice. Hosts that have no result then are named to
// `on_result` too, as missing.
asio::awaitable<bool> run_interruptibly(Runtime& runtime, std::shared_ptr<const AsyncRuns> runs,
                                        std::shared_ptr<const Dispatch> dispatch, std::vector<Target> targets,
                                        std::shared_ptr<const RunRequest> request, HostLocks locks,
                                        std::function<void(RunResult)> on_result, OnOutput on_output,
                                        std::function<void(std::string)> say);

}  // namespace ctrlexec
