#include "cmd/init_process.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "cmd/print.h"
#include "core/log.h"
#include "core/sealing.h"
#include "core/secret_variable.h"

namespace ctrlexec {
namespace {

constexpr pid_t init_pid = 1;

// Blocked, so that each waits for sigwaitinfo(2): process 1 loses what it neither blocks nor handles. The
// signals of faults keep their meaning.
sigset_t forwarded_signals() {
    sigset_t all;
    ::sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS})
        ::sigdelset(&all, fault);
    return all;
}

// Reaps whatever has ended. True once the child has; `code` is then its exit code.
bool reap(pid_t child, int& code) {
    for (;;) {
        int status = 0;
        const pid_t ended = ::waitpid(-1, &status, WNOHANG);
        if (ended < 0 && errno == EINTR) continue;
        if (ended <= 0) return false;
        if (ended != child) continue;
        code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return true;
    }
}

int attend(pid_t child, const sigset_t& signals) {
    int code = 0;
    while (!reap(child, code)) {
        const int signal = ::sigwaitinfo(&signals, nullptr);
        // Stopping is for those who sit at a terminal; a stopped container is the engine's business.
        const bool ours = signal == SIGCHLD || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
        if (signal > 0 && !ours) ::kill(child, signal);
    }
    return code;
}

}  // namespace

int run_with_init(const std::function<int()>& command) {
    if (::getpid() != init_pid) return command();
    const sigset_t signals = forwarded_signals();
    sigset_t before;
    ::sigprocmask(SIG_BLOCK, &signals, &before);
    const pid_t child = ::fork();
    if (child < 0) {
        print_error_line(fmt::format("ctrl-exec: cannot start a process: {}", std::strerror(errno)));
        return 1;
    }
    if (child > 0) {
        // The child has its own copy. /proc/1/environ is open to every process of this user, scripts
        // included.
        std::string token = take_variable("JOIN_TOKEN");
        wipe(token);
        return attend(child, signals);
    }
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    log_as_container();
    return command();
}

}  // namespace ctrlexec
