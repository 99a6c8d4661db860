#include "net/job_process.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>

#include "core/own_program.h"
#include "core/spawn.h"
#include "net/job_supervisor.h"
#include "net/pipe_pump.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace ctrlexec {
namespace {

constexpr std::chrono::seconds hand_over_time{20};
constexpr std::chrono::milliseconds traced_retry{10};

// The same program needs the same settings: where to log, and what the tests say.
std::vector<std::string> own_environment() {
    std::vector<std::string> environment;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry)
        environment.emplace_back(*entry);
    return environment;
}

}  // namespace

Result<void> JobProcess::start(const std::string& directory) {
    SpawnPlan plan(OwnProgram::approve());
    plan.name = job_supervisor_name;
    plan.arguments.push_back(directory);
    plan.environment = own_environment();
    plan.capture_output = false;
    TRY(SpawnedChild child, spawn(plan));
    child_ = child.pid;
    input_ = std::move(child.input);
    auto watched = adopt(std::move(child.pidfd));
    if (watched) return success();
    ::kill(child_, SIGKILL);
    while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
    child_ = -1;
    return watched;
}

Result<void> JobProcess::adopt(UniqueFd pidfd) {
    asio::error_code failure;
    exit_.assign(pidfd.get(), failure);
    if (failure) return fail(Errc::io, "cannot watch a process", failure.message());
    pidfd.release();
    return success();
}

asio::awaitable<void> JobProcess::hand_over(std::string spec) {
    asio::steady_timer done(executor_, hand_over_time);
    const auto writer = std::make_shared<PipeWriter>(executor_);
    bool ended = false;
    std::function<void()> on_end = [&done, &ended, writer] {
        ended = true;
        done.cancel();
    };
    const auto started = writer->start(std::move(input_), std::move(spec), std::move(on_end));
    std::error_code ignored;
    if (started && !ended) co_await done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    writer->stop();
}

Result<UniqueFd> JobProcess::find(const JobDirectory& job) {
    TRY(const JobStart start, job.start());
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, start.supervisor.pid, 0u)));
    if (!pidfd) return fail(Errc::not_found, "the supervisor has ended");
    // Asked after the pidfd was opened: it names the supervisor if that one was alive then.
    TRY(const bool locked, job.is_locked());
    if (locked && start.supervisor.exists()) return pidfd;
    return fail(Errc::not_found, "the supervisor has ended");
}

bool JobProcess::has_exited() {
    pollfd pidfd{exit_.native_handle(), POLLIN, 0};
    if (::poll(&pidfd, 1, 0) == 0) return false;
    siginfo_t info = {};
    // Pidfds report the end of a traced process before its tracer has let us have it.
    if (child_ > 0 && ::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG) == 0 &&
        info.si_pid == 0) {
        return false;
    }
    child_ = -1;
    return true;
}

asio::awaitable<void> JobProcess::exited() {
    asio::steady_timer retry(executor_);
    std::error_code ignored;
    for (;;) {
        co_await exit_.async_wait(asio::posix::descriptor_base::wait_read,
                                  asio::redirect_error(asio::use_awaitable, ignored));
        if (has_exited()) break;
        retry.expires_after(traced_retry);
        co_await retry.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    exit_.close(ignored);
}

void JobProcess::cancel() {
    if (exit_.is_open()) ::syscall(SYS_pidfd_send_signal, exit_.native_handle(), SIGUSR1, nullptr, 0u);
}

}  // namespace ctrlexec
