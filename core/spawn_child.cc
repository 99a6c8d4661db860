#include "core/spawn_child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

#ifndef PR_CAP_AMBIENT
#define PR_CAP_AMBIENT 47
#define PR_CAP_AMBIENT_CLEAR_ALL 4
#endif

namespace ctrlexec {
namespace {

// Where ids once had 16 bits, the calls for 32 have names of their own.
#ifdef SYS_setresuid32
constexpr long set_groups = SYS_setgroups32;
constexpr long set_group_ids = SYS_setresgid32;
constexpr long set_user_ids = SYS_setresuid32;
constexpr long get_group_ids = SYS_getresgid32;
constexpr long get_user_ids = SYS_getresuid32;
#else
constexpr long set_groups = SYS_setgroups;
constexpr long set_group_ids = SYS_setresgid;
constexpr long set_user_ids = SYS_setresuid;
constexpr long get_group_ids = SYS_getresgid;
constexpr long get_user_ids = SYS_getresuid;
#endif

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

CTRLEXEC_AFTER_VFORK bool is_now(long get, unsigned wanted) {
    unsigned real = 0;
    unsigned effective = 0;
    unsigned saved = 0;
    return ::syscall(get, &real, &effective, &saved) == 0 && real == wanted && effective == wanted &&
           saved == wanted;
}

// What an agent that is not root, but may switch users, was given. Root loses its own by becoming another
// user.
CTRLEXEC_AFTER_VFORK bool drop_capabilities() {
    struct {
        unsigned version;
        int pid;
    } header = {0x20080522, 0};  // _LINUX_CAPABILITY_VERSION_3
    const unsigned none[6] = {};
    // Kernels before 4.3 have no ambient ones.
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL) != 0 && errno != EINVAL)
        return false;
    return ::syscall(SYS_capset, &header, none) == 0;
}

// The raw calls: libc's change all threads of a process, by signals, and the parent's threads are not ours.
CTRLEXEC_AFTER_VFORK void switch_user(const ExecImage& image) {
    if (::syscall(set_groups, image.group_count, image.groups) != 0) give_up(image, ExecStep::set_groups);
    if (::syscall(set_group_ids, image.gid, image.gid, image.gid) != 0) give_up(image, ExecStep::set_group);
    if (::syscall(set_user_ids, image.uid, image.uid, image.uid) != 0) give_up(image, ExecStep::set_user);
    errno = EPERM;
    if (!is_now(get_group_ids, image.gid) || !is_now(get_user_ids, image.uid))
        give_up(image, ExecStep::verify_user);
    if (image.uid == 0) return;
    if (!drop_capabilities()) give_up(image, ExecStep::drop_capabilities);
    errno = EPERM;
    if (::syscall(set_user_ids, 0, 0, 0) == 0) give_up(image, ExecStep::verify_user);
    if (image.gid != 0 && ::syscall(set_group_ids, 0, 0, 0) == 0) give_up(image, ExecStep::verify_user);
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
    if (image.nice != 0 && ::setpriority(PRIO_PROCESS, 0, image.nice) != 0)
        give_up(image, ExecStep::change_priority);
    ::umask(image.umask);
    if (image.switches_user) switch_user(image);
    if (image.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
        give_up(image, ExecStep::forbid_privileges);
    if (::chdir(image.directory) < 0) give_up(image, ExecStep::change_directory);
    reset_signals();
    ::execve(image.path, image.argv, image.envp);
    give_up(image, ExecStep::execute);
}

}  // namespace ctrlexec
