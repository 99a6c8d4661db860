#include "core/spawn.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include "core/exec_error.h"
#include "core/spawn_child.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace ctrlexec {
namespace {

std::string errno_text(int number) {
    return std::generic_category().message(number);
}

Error start_error(const SpawnPlan& plan, const char* call) {
    const int number = errno;
    const bool full = number == EMFILE || number == ENFILE;
    std::string message = plan.program.path() + ": cannot be started" +
                          (full ? ": too many open files; raise the limit on open files (ulimit -n)" : "");
    return fail(Errc::io, std::move(message), std::string(call) + ": " + errno_text(number));
}

// Descriptors 0 to 2 can be free when we were started with them closed. One of ours must not land there: dup2
// in the child would overwrite it, and a stray write to stderr here would go into the child's stdin.
bool lift_above_stdio(UniqueFd& fd) {
    if (fd.get() > STDERR_FILENO) return true;
    fd.reset(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    return static_cast<bool>(fd);
}

struct Pipe {
    UniqueFd read_end;
    UniqueFd write_end;
};

bool open_pipe(Pipe& pipe) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) < 0) return false;
    pipe.read_end.reset(ends[0]);
    pipe.write_end.reset(ends[1]);
    return lift_above_stdio(pipe.read_end) && lift_above_stdio(pipe.write_end);
}

// The two ends of a pipe are separate open files: the child's end stays blocking.
bool set_nonblocking(const UniqueFd& fd) {
    return ::fcntl(fd.get(), F_SETFL, O_NONBLOCK) == 0;
}

struct Channels {
    Pipe input;
    Pipe output;
    Pipe error;  // when not captured, the write ends of output and error are both /dev/null
    Pipe failure;
};

bool open_channels(Channels& channels, bool capture_output) {
    if (!open_pipe(channels.failure) || !open_pipe(channels.input)) return false;
    if (!set_nonblocking(channels.input.write_end)) return false;
    if (capture_output) {
        return open_pipe(channels.output) && open_pipe(channels.error) &&
               set_nonblocking(channels.output.read_end) && set_nonblocking(channels.error.read_end);
    }
    channels.output.write_end.reset(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!channels.output.write_end || !lift_above_stdio(channels.output.write_end)) return false;
    channels.error.write_end.reset(::fcntl(channels.output.write_end.get(), F_DUPFD_CLOEXEC, 3));
    return static_cast<bool>(channels.error.write_end);
}

// A NUL would silently cut the string short on its way through execve.
Result<void> check(const SpawnPlan& plan) {
    const auto has_nul = [](const std::string& text) { return text.find('\0') != std::string::npos; };
    const std::string& path = plan.program.path();
    if (path.empty() || path.front() != '/' || has_nul(path) || has_nul(plan.directory)) {
        return fail(Errc::internal, "a program must be given by its absolute path", path);
    }
    if (std::any_of(plan.arguments.begin(), plan.arguments.end(), has_nul)) {
        return fail(Errc::bad_request, "an argument contains a NUL byte, which no program can be given");
    }
    if (std::any_of(plan.environment.begin(), plan.environment.end(), has_nul)) {
        return fail(Errc::bad_request, "a value for the program's environment contains a NUL byte");
    }
    return success();
}

std::vector<char*> pointers(const std::string* first, const std::vector<std::string>& rest) {
    std::vector<char*> list;
    list.reserve(rest.size() + 2);
    if (first != nullptr) list.push_back(const_cast<char*>(first->c_str()));
    for (const std::string& text : rest) list.push_back(const_cast<char*>(text.c_str()));
    list.push_back(nullptr);
    return list;
}

int highest_descriptor() {
    constexpr rlim_t bound = 65'536;  // one system call each; "unlimited" would take minutes
    struct rlimit limit = {};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return static_cast<int>(bound);
    return static_cast<int>(std::min(limit.rlim_cur, bound));
}

// With SIGCHLD ignored (inherited from a careless parent) the kernel reaps children itself: the status would
// be lost, and the number that we later signal could belong to somebody else.
void keep_zombies() {
    struct sigaction action = {};
    if (::sigaction(SIGCHLD, nullptr, &action) < 0) return;
    const bool ignored = action.sa_handler == SIG_IGN;
    if (!ignored && (action.sa_flags & SA_NOCLDWAIT) == 0) return;
    if (ignored) action.sa_handler = SIG_DFL;
    action.sa_flags &= ~SA_NOCLDWAIT;
    ::sigaction(SIGCHLD, &action, nullptr);
}

// Out of line and with nothing to keep across vfork's second return. Uninstrumented, like all that the child
// executes.
[[gnu::noinline]] __attribute__((no_sanitize("address", "undefined", "thread"))) pid_t vfork_exec(
    const ExecImage& image) {
    const pid_t pid = ::vfork();      // NOLINT: fork copies page tables; posix_spawn cannot chdir everywhere
    if (pid == 0) exec_child(image);  // NOLINT: makes system calls only
    return pid;
}

void set_credentials(ExecImage& image, const Credentials& credentials) {
    image.no_new_privileges = true;
    image.switches_user = !credentials.own;
    image.uid = credentials.uid;
    image.gid = credentials.gid;
    image.groups = credentials.groups.data();
    image.group_count = credentials.groups.size();
}

// A handler of ours must never run in the child: it would do so in our memory. Nor may its new user look into
// that memory: the kernel sees to it, by making it one that cannot be dumped, which is not to last.
pid_t start_with_signals_blocked(const ExecImage& image) {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const int dumpable = image.switches_user ? ::prctl(PR_GET_DUMPABLE) : 0;
    const pid_t pid = vfork_exec(image);
    const int number = errno;
    if (dumpable == 1) ::prctl(PR_SET_DUMPABLE, 1);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = number;
    return pid;
}

void reap(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
}

UniqueFd open_pidfd(pid_t pid) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0u)));
    if (fd) lift_above_stdio(fd);
    return fd;
}

// End of file means that execve closed the pipe, so that the new program runs.
bool read_failure(const UniqueFd& pipe, ExecFailure& failure) {
    ssize_t count = -1;
    do {
        count = ::read(pipe.get(), &failure, sizeof failure);
    } while (count < 0 && errno == EINTR);
    return count == static_cast<ssize_t>(sizeof failure);
}

}  // namespace

Result<SpawnedChild> spawn(const SpawnPlan& plan) {
    TRY_DO(check(plan));
    // Before the start, not after it: a program that could not be supervised must never begin to run.
    UniqueFd reserved = open_pidfd(::getpid());
    if (!reserved)
        return start_error(plan, "pidfd_open (needs Linux 5.3, or a seccomp profile that allows it)");
    Channels channels;
    if (!open_channels(channels, plan.capture_output)) return start_error(plan, "pipe");
    keep_zombies();

    const std::string& name = plan.name.empty() ? plan.program.path() : plan.name;
    const std::vector<char*> argv = pointers(&name, plan.arguments);
    const std::vector<char*> envp = pointers(nullptr, plan.environment);
    ExecImage image;
    image.path = plan.program.path().c_str();
    image.argv = argv.data();
    image.envp = envp.data();
    image.directory = plan.directory.c_str();
    image.umask = plan.umask;
    image.nice = plan.nice;
    if (plan.credentials) set_credentials(image, *plan.credentials);
    image.input = channels.input.read_end.get();
    image.output = channels.output.write_end.get();
    image.error = channels.error.write_end.get();
    image.failure = channels.failure.write_end.get();
    image.highest_number = highest_descriptor();

    const pid_t pid = start_with_signals_blocked(image);
    if (pid < 0) return start_error(plan, "vfork");
    channels.failure.write_end.reset();
    ExecFailure failure;
    if (read_failure(channels.failure.read_end, failure)) {
        reap(pid);
        return exec_error(plan, failure);
    }

    SpawnedChild child;
    child.pid = pid;
    reserved.reset();
    child.pidfd = open_pidfd(pid);
    if (!child.pidfd) {
        const Error error = start_error(plan, "pidfd_open");
        ::kill(-pid, SIGKILL);
        reap(pid);
        return error;
    }
    child.input = std::move(channels.input.write_end);
    child.output = std::move(channels.output.read_end);
    child.error = std::move(channels.error.read_end);
    return child;
}

}  // namespace ctrlexec
