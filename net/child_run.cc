#include "net/child_run.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <utility>

namespace ctrlexec {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds drain_time{250};
constexpr milliseconds unkillable_time{5'000};  // then it hangs in the kernel, on a dead disk or NFS server
constexpr milliseconds traced_retry{10};
constexpr int abandon_tries = 200;  // of 1 ms each

PumpTee tee_to(const ChildRun::OnOutput& on_output, OutputStream stream) {
    if (!on_output) return {};
    return [on_output, stream](std::string_view bytes) { on_output(stream, bytes); };
}

}  // namespace

ChildRun::ChildRun(const asio::any_io_executor& executor, const ChildLimits& limits, OnOutput on_output)
    : limits_(limits),
      input_(executor),
      output_(executor, limits.output_limit, tee_to(on_output, OutputStream::output)),
      error_(executor, limits.output_limit, tee_to(on_output, OutputStream::error)),
      exit_(executor),
      step_timer_(executor),
      input_timer_(executor),
      finished_signal_(executor, asio::steady_timer::time_point::max()) {}

Result<void> ChildRun::start(const SpawnPlan& plan, std::string input) {
    TRY(SpawnedChild child, spawn(plan));
    unreaped_ = child.pid;
    TRY_DO(watch_exit(std::move(child.pidfd)));
    TRY_DO(start_pumps(std::move(child), std::move(input)));
    if (limits_.run_timeout > milliseconds::zero()) {
        next_step_after(limits_.run_timeout, &ChildRun::run_timed_out);
    }
    return success();
}

Result<void> ChildRun::watch_exit(UniqueFd pidfd) {
    asio::error_code failure;
    exit_.assign(pidfd.get(), failure);
    if (failure) return fail(Errc::io, "cannot watch a child process", failure.message());
    pidfd.release();
    wait_for_exit();
    return success();
}

// Asio's word alone is not enough: events that it has fetched for a descriptor which was closed meanwhile go
// to the next one that gets its place in the reactor, and a wait, unlike a read, does not look again. A child
// taken for dead would be killed by conclude().
void ChildRun::wait_for_exit() {
    exit_.async_wait(asio::posix::descriptor_base::wait_read,
                     [self = shared_from_this()](const asio::error_code& error) {
                         if (error) return;
                         pollfd pidfd{self->exit_.native_handle(), POLLIN, 0};
                         if (::poll(&pidfd, 1, 0) == 0) return self->wait_for_exit();
                         self->child_exited();
                     });
}

Result<void> ChildRun::start_pumps(SpawnedChild child, std::string input) {
    const auto self = shared_from_this();
    if (child.output) TRY_DO(output_.start(std::move(child.output), [self] { self->stream_ended(); }));
    if (child.error) TRY_DO(error_.start(std::move(child.error), [self] { self->stream_ended(); }));
    input_timer_.expires_after(limits_.input_timeout);
    input_timer_.async_wait([self](const asio::error_code& error) {
        if (!error) self->input_timed_out();
    });
    return input_.start(std::move(child.input), std::move(input), [self] { self->input_timer_.cancel(); });
}

void ChildRun::next_step_after(milliseconds delay, Step step) {
    const unsigned number = ++step_number_;
    step_timer_.expires_after(delay);
    step_timer_.async_wait([self = shared_from_this(), number, step](const asio::error_code& error) {
        if (!error && self->step_number_ == number) ((*self).*step)();
    });
}

void ChildRun::run_timed_out() {
    outcome_.timed_out = true;
    terminate();
}

void ChildRun::cancel() {
    if (phase_ != Phase::running) return;
    outcome_.cancelled = true;
    terminate();
}

void ChildRun::terminate(milliseconds grace) {
    if (phase_ != Phase::running) return;
    phase_ = Phase::terminating;
    signal_group(SIGTERM);
    signal_group(SIGCONT);  // a stopped process acts on TERM only when it continues
    next_step_after(grace, &ChildRun::kill_now);
}

// The last step is finish() without a reaping: the request is answered, and child_exited() reaps whenever the
// kernel lets the process go.
void ChildRun::kill_now() {
    phase_ = Phase::killing;
    signal_group(SIGKILL);
    outcome_.signal = SIGKILL;
    next_step_after(unkillable_time, &ChildRun::finish);
}

void ChildRun::input_timed_out() {
    if (!input_.is_open()) return;
    outcome_.input_timed_out = true;
    input_.stop();
}

void ChildRun::child_exited() {
    if (finished()) {
        signal_group(SIGKILL);
        try_reap();
        return;
    }
    phase_ = Phase::draining;
    input_timer_.cancel();
    input_.stop();
    next_step_after(drain_time, &ChildRun::conclude);
    stream_ended();
}

void ChildRun::stream_ended() {
    if (phase_ == Phase::draining && !output_.is_open() && !error_.is_open()) conclude();
}

// The order is the point: while the child is a zombie its number cannot belong to another process group.
void ChildRun::conclude() {
    signal_group(SIGKILL);
    // Pidfds report the end of a traced process before its tracer has let us have it.
    if (!try_reap()) return next_step_after(traced_retry, &ChildRun::conclude);
    finish();
}

void ChildRun::finish() {
    phase_ = Phase::finished;
    ++step_number_;
    step_timer_.cancel();
    input_timer_.cancel();
    input_.stop();
    output_.stop();
    error_.stop();
    asio::error_code ignored;
    if (unreaped_ < 0) exit_.close(ignored);
    finished_signal_.cancel();
}

void ChildRun::abandon() {
    if (unreaped_ < 0 || finished()) return;
    signal_group(SIGKILL);
    for (int i = 0; i < abandon_tries && !try_reap(); ++i) ::usleep(1'000);
    finish();
}

void ChildRun::signal_group(int number) const {
    if (unreaped_ > 0) ::kill(-unreaped_, number);
}

bool ChildRun::try_reap() {
    siginfo_t info = {};
    const int result = ::waitid(P_PID, static_cast<id_t>(unreaped_), &info, WEXITED | WNOHANG);
    if (result == 0 && info.si_pid == 0) return false;
    unreaped_ = -1;
    status_lost_ = result < 0;
    if (status_lost_) return true;
    const bool exited = info.si_code == CLD_EXITED;
    outcome_.exit_status = exited ? info.si_status : 0;
    outcome_.signal = exited ? 0 : info.si_status;
    return true;
}

Result<ChildOutcome> ChildRun::take_outcome() {
    if (status_lost_) {
        return fail(Errc::internal, "the exit status of a child process is lost",
                    "another part of the program has reaped it");
    }
    outcome_.output_bytes = output_.output().total();
    outcome_.error_bytes = error_.output().total();
    outcome_.output_truncated = output_.output().truncated();
    outcome_.error_truncated = error_.output().truncated();
    outcome_.output = output_.output().take();
    outcome_.error = error_.output().take();
    return std::move(outcome_);
}

}  // namespace ctrlexec
