// Runs that go on without us (run --async): begins them, asks after them, ends them.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/dispatcher_config.h"
#include "core/file.h"
#include "core/follow_line.h"
#include "core/submitted_runs.h"
#include "net/dispatch.h"
#include "net/run_calls.h"
#include "net/runtime.h"

namespace ctrlexec {

// What is known of a host beside SubmittedHost.
struct HostNote {
    JobState state;                                  // as the agent last said it
    std::string problem;                             // why it could not be asked the last time
    std::uint64_t output_seen = 0, errors_seen = 0;  // of what is followed: where it goes on
};

// A run that is looked at; shared by the coroutines that ask its hosts.
struct WatchedRun {
    SubmittedRun run;
    std::vector<HostNote> notes;  // one for each host
    // Each result once, when it arrives.
    std::function<void(const RunResult&)> on_result;
    // When it is set, wait() follows what the scripts print.
    OnOutput on_output;

    // Nobody wants to hear of it any more: wait() returns at once.
    void abandon();
    bool abandoned() const { return abandoned_; }

  private:
    friend class AsyncRuns;
    bool abandoned_ = false;
    bool unsaved_ = false;
    asio::steady_timer* wake_ = nullptr;  // of who waits; lives in his frame, until abandoned
};

class AsyncRuns {
  public:
    AsyncRuns(Runtime& runtime, std::shared_ptr<const Dispatch> dispatch, const DispatcherConfig& config);

    // Writes down what is about to be asked of whom. Then every agent is asked to take the run; `on_problem`
    // hears of each host that has not accepted it, as a result. A host whose answer got lost is still asked
    // later on.
    struct Submission {
        std::shared_ptr<WatchedRun> watched;
        FileLock lock;
    };
    asio::awaitable<Result<Submission>> begin(std::vector<Target> targets,
                                              std::shared_ptr<const RunRequest> request) const;
    asio::awaitable<void> submit(Submission submission, std::shared_ptr<const RunRequest> request,
                                 std::function<void(const RunResult&)> on_problem) const;

    // Errc::not_found when none of that id is under way.
    asio::awaitable<Result<std::shared_ptr<WatchedRun>>> find(std::string reqid) const;

    // Asks all that are pending once.
    asio::awaitable<void> ask(std::shared_ptr<WatchedRun> watched) const;
    // Asks until none is pending, or `timeout` is over (0: none).
    asio::awaitable<void> wait(std::shared_ptr<WatchedRun> watched, std::chrono::milliseconds timeout) const;

    // What the agent says to it.
    asio::awaitable<Result<JobState>> cancel(Target target, std::string reqid) const;

  private:
    using Watched = std::shared_ptr<WatchedRun>;
    asio::awaitable<void> submit_one(Watched watched, std::size_t i,
                                     std::shared_ptr<const RunRequest> request,
                                     std::function<void(const RunResult&)> on_problem) const;
    asio::awaitable<void> ask_one(Watched watched, std::size_t i, std::chrono::seconds wait) const;
    void settle(WatchedRun& watched, std::size_t i, RunResult result) const;
    asio::awaitable<void> each_pending(Watched watched,
                                       std::function<asio::awaitable<void>(std::size_t)> work) const;
    asio::awaitable<void> ask_for_long(Watched watched, std::size_t i, std::chrono::seconds turn) const;
    asio::awaitable<void> follow_one(Watched watched, std::size_t i, std::function<bool()> unwanted) const;
    static asio::awaitable<void> ask_until_done(std::shared_ptr<const AsyncRuns> runs, Watched watched);
    asio::awaitable<void> pause(std::chrono::milliseconds time) const;
    asio::awaitable<void> save(Watched watched) const;

    Runtime* runtime_;
    std::shared_ptr<const Dispatch> dispatch_;
    DispatcherConfig config_;
};

}  // namespace ctrlexec
