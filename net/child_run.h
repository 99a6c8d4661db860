// One run of a child process: its pumps, its clock, its end. run_child (net/child.h) is the coroutine around
// it.
#pragma once

#include <sys/types.h>

#include <asio/any_io_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "core/result.h"
#include "core/spawn.h"
#include "net/child.h"
#include "net/pipe_pump.h"

namespace ctrlexec {

// Kept alive by the handlers that wait on its behalf; all of it runs on the one loop thread.
class ChildRun : public std::enable_shared_from_this<ChildRun> {
  public:
    using OnOutput = std::function<void(OutputStream, std::string_view)>;
    ChildRun(const asio::any_io_executor& executor, const ChildLimits& limits, OnOutput on_output = {});

    // Once. On failure a child that had started is left to abandon().
    Result<void> start(const SpawnPlan& plan, std::string input);

    // TERM to the group, KILL after the grace; finished() follows in bounded time, whatever the child does.
    void terminate() { terminate(limits_.kill_grace); }
    void terminate(std::chrono::milliseconds grace);

    // The same on somebody's word, which the outcome then says.
    void cancel();

    // KILL to the group and a reaping that blocks for 200 ms at most. Nothing when the child is already
    // reaped.
    void abandon();

    // The child's number, until it is reaped; then -1.
    pid_t pid() const { return unreaped_; }

    bool finished() const { return phase_ == Phase::finished; }
    asio::steady_timer& finished_signal() {
        return finished_signal_;
    }  // cancelled when finished() becomes true
    Result<ChildOutcome> take_outcome();

  private:
    // A run only ever moves down this list.
    enum class Phase {
        running,
        terminating,  // has had TERM
        killing,      // has had KILL
        draining,     // is a zombie; what others hold open is read a little longer
        finished,
    };
    using Step = void (ChildRun::*)();

    Result<void> watch_exit(UniqueFd pidfd);
    void wait_for_exit();
    Result<void> start_pumps(SpawnedChild child, std::string input);
    void next_step_after(std::chrono::milliseconds delay, Step step);
    void run_timed_out();
    void kill_now();
    void input_timed_out();
    void child_exited();
    void stream_ended();
    void conclude();
    void finish();
    void signal_group(int number) const;
    bool try_reap();

    ChildLimits limits_;
    PipeWriter input_;
    PipeReader output_;
    PipeReader error_;
    asio::posix::stream_descriptor exit_;  // the pidfd
    asio::steady_timer step_timer_;
    asio::steady_timer input_timer_;
    asio::steady_timer finished_signal_;
    unsigned step_number_ = 0;  // tells a step that was queued before it was replaced
    Phase phase_ = Phase::running;
    pid_t unreaped_ = -1;  // names our child, and nobody else's process, exactly while it is positive
    bool status_lost_ = false;
    ChildOutcome outcome_;
};

}  // namespace ctrlexec
