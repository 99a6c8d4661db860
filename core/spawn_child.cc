#include "core/spawn_child.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "core/open_files.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

// Sanitizers mark the stack in shadow memory, which the child shares with the parent that is still to run.
#define CTRLEXEC_AFTER_VFORK __attribute__((no_sanitize("address", "undefined", "thread")))

namespace ctrlexec {
namespace {

[[noreturn]] CTRLEXEC_AFTER_VFORK void give_up(const ExecImage& image, ExecStep step) {
    ExecFailure failure;
    failure.step = step;
    failure.error_number = errno;
    // Below PIPE_BUF and into an empty pipe: never partial, never blocks.
    const ssize_t written = ::write(image.failure, &failure, sizeof failure);
    ::_exit(written == static_cast<ssize_t>(sizeof failure) ? 127 : 126);
}

// An ignored signal stays ignored across execve, and a script that inherits an ignored SIGPIPE misbehaves.
// Handlers go before the mask does: one that ran here would run on the parent's stack.
CTRLEXEC_AFTER_VFORK void reset_signals() {
    struct sigaction standard = {};
    standard.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) ::sigaction(number, &standard, nullptr);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

CTRLEXEC_AFTER_VFORK bool close_span(unsigned first, unsigned last) {
    return first > last || ::syscall(SYS_close_range, first, last, 0u) == 0;
}

// Our own descriptors are O_CLOEXEC; this is for those that whoever started us left open.
CTRLEXEC_AFTER_VFORK void close_others(const ExecImage& image) {
    const auto kept = static_cast<unsigned>(image.failure);
    if (close_span(3, kept - 1) && close_span(kept + 1, ~0u)) return;
    for (int fd = 3; fd <= image.highest_number; ++fd) {
        if (fd != image.failure) ::close(fd);
    }
}

}  // namespace

CTRLEXEC_AFTER_VFORK void exec_child(const ExecImage& image) {
    if (::setsid() < 0) give_up(image, ExecStep::prepare);
    // dup2 clears O_CLOEXEC on the copy.
    if (::dup2(image.input, STDIN_FILENO) < 0 || ::dup2(image.output, STDOUT_FILENO) < 0 ||
        ::dup2(image.error, STDERR_FILENO) < 0) {
        give_up(image, ExecStep::prepare);
    }
    close_others(image);
    const rlimit* files = original_open_file_limit();
    if (files != nullptr && ::setrlimit(RLIMIT_NOFILE, files) != 0) give_up(image, ExecStep::prepare);
    ::umask(022);
    if (::chdir(image.directory) < 0) give_up(image, ExecStep::change_directory);
    reset_signals();
    ::execve(image.path, image.argv, image.envp);
    give_up(image, ExecStep::execute);
}

}  // namespace ctrlexec
