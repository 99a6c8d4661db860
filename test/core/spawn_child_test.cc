#include "core/spawn_child.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "test/core/spawn_fixture.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

using namespace ctrlexec;
using namespace ctrlexec::spawn_test;

namespace {

// The hexadecimal mask in a line of /proc/PID/status, as text: "SigIgn:\t0000000000000000".
std::string status_line(const std::string& status, const std::string& key) {
    const std::size_t start = status.find(key + ":\t");
    if (start == std::string::npos) return "";
    return status.substr(start, status.find('\n', start) - start);
}

// From here on this process and its children are told that there is no such system call.
bool deny_close_range() {
    struct sock_filter code[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_close_range},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    struct sock_fprog program = {4, code};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
           ::syscall(SYS_close_range, ~0u, ~0u, 0u) < 0 && errno == ENOSYS;
}

bool lists_only_its_own_descriptors() {
    const UniqueFd leaked(::open("/dev/null", O_RDONLY));
    const UniqueFd high(::fcntl(leaked.get(), F_DUPFD, 500));
    auto child = spawn(plan_for("/bin/ls", {"/proc/self/fd"}));
    return high && child && read_to_end(child->output) == "0\n1\n2\n3\n";
}

}  // namespace

TEST_CASE("arguments arrive byte for byte") {
    const std::vector<std::string> arguments = {"%s\\0",
                                                "",
                                                "a b",
                                                "line\nline",
                                                "'\"`$(id)\\",
                                                "\xf0\x9f\x9a\x80",
                                                "\xff\xfe\x80",
                                                "-n",
                                                "*",
                                                std::string(100'000, 'x'),
                                                ""};
    std::string expected;
    for (std::size_t i = 1; i < arguments.size(); ++i) expected += arguments[i] + '\0';
    CHECK(run(plan_for("/usr/bin/printf", arguments)).output == expected);
}

TEST_CASE("argv[0] is the path") {
    const TempDir directory;
    const std::string path = directory.script("printf %s \"$0\"");
    CHECK(run(plan_for(path)).output == path);
}

TEST_CASE("the environment is exactly the given one") {
    SpawnPlan plan = plan_for("/usr/bin/env");
    plan.environment = {"A=1", "EMPTY=", "TEXT=two words \xff"};
    CHECK(run(plan).output == "A=1\nEMPTY=\nTEXT=two words \xff\n");
    plan.environment.clear();
    CHECK(run(plan).output == "");
}

TEST_CASE("the child runs in the given directory with umask 022") {
    const TempDir directory;
    SpawnPlan plan = plan_for(directory.script("pwd -P; umask"));
    plan.directory = directory.path();
    const mode_t before = ::umask(0);
    const Finished result = run(plan);
    ::umask(before);
    CHECK(result.output == std::filesystem::canonical(directory.path()).string() + "\n0022\n");
}

TEST_CASE("the child leads a session and a process group of its own") {
    auto child = spawn(plan_for("/bin/cat"));
    REQUIRE(child);
    CHECK(::getsid(child->pid) == child->pid);
    CHECK(::getpgid(child->pid) == child->pid);
    finish(std::move(*child));
}

TEST_CASE("the child starts with every signal at its default and none blocked") {
    struct sigaction ignore = {};
    struct sigaction pipe_before = {};
    struct sigaction hangup_before = {};
    ignore.sa_handler = SIG_IGN;
    REQUIRE(::sigaction(SIGPIPE, &ignore, &pipe_before) == 0);
    REQUIRE(::sigaction(SIGHUP, &ignore, &hangup_before) == 0);
    sigset_t blocked;
    sigset_t mask_before;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGTERM);
    ::sigaddset(&blocked, SIGCHLD);
    REQUIRE(::pthread_sigmask(SIG_BLOCK, &blocked, &mask_before) == 0);

    const std::string status = run(plan_for("/bin/cat", {"/proc/self/status"})).output;
    sigset_t mask_after;
    ::pthread_sigmask(SIG_SETMASK, &mask_before, &mask_after);
    ::sigaction(SIGPIPE, &pipe_before, nullptr);
    ::sigaction(SIGHUP, &hangup_before, nullptr);

    CHECK(status_line(status, "SigIgn") == "SigIgn:\t0000000000000000");
    CHECK(status_line(status, "SigBlk") == "SigBlk:\t0000000000000000");
    CHECK(::sigismember(&mask_after, SIGTERM) == 1);  // ours is as it was
    CHECK(::sigismember(&mask_after, SIGUSR1) == 0);
}

TEST_CASE("no descriptor but 0, 1 and 2 is open in the child") {
    const UniqueFd leaked(
        ::open("/dev/null", O_RDONLY));  // without O_CLOEXEC, as careless parents leave them
    const UniqueFd high(::fcntl(leaked.get(), F_DUPFD, 500));
    REQUIRE(high);
    // ls opens the directory itself, as 3.
    CHECK(run(plan_for("/bin/ls", {"/proc/self/fd"})).output == "0\n1\n2\n3\n");
}

TEST_CASE("no other descriptor is open in the child on a kernel without close_range") {
    const pid_t helper = ::fork();  // a filter cannot be taken off again
    REQUIRE(helper >= 0);
    if (helper == 0) ::_exit(deny_close_range() && lists_only_its_own_descriptors() ? 0 : 1);
    int status = 0;
    REQUIRE(::waitpid(helper, &status, 0) == helper);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("descriptors 0 to 2 that are free do not confuse the child's pipes") {
    int saved[3];
    for (int fd = 0; fd < 3; ++fd) {
        saved[fd] = ::fcntl(fd, F_DUPFD_CLOEXEC, 10);
        ::close(fd);
    }
    SpawnPlan plan = plan_for("/bin/sh", {"-c", "cat; echo err >&2; ls /proc/self/fd"});
    auto child = spawn(plan);
    bool low = false;
    std::string output;
    std::string error;
    if (child) {
        for (const UniqueFd* fd : {&child->pidfd, &child->input, &child->output, &child->error}) {
            low = low || fd->get() < 3;
        }
        const ssize_t written = ::write(child->input.get(), "in\n", 3);
        child->input.reset();
        if (written == 3) output = read_to_end(child->output);
        error = read_to_end(child->error);
        ::waitpid(child->pid, nullptr, 0);
    }
    for (int fd = 0; fd < 3; ++fd) {
        if (saved[fd] < 0) continue;
        ::dup2(saved[fd], fd);
        ::close(saved[fd]);
    }
    REQUIRE(child);
    CHECK_FALSE(low);
    CHECK(output == "in\n0\n1\n2\n3\n");
    CHECK(error == "err\n");
}

TEST_CASE("output that is not captured goes to /dev/null") {
    const TempDir directory;
    SpawnPlan plan =
        plan_for(directory.script("seen=$(readlink /proc/$$/fd/1 /proc/$$/fd/2)\n"
                                  "echo \"$seen\" >" +
                                  directory.path() + "/seen\n"));
    plan.capture_output = false;
    auto child = spawn(plan);
    REQUIRE(child);
    CHECK_FALSE(child->output);
    CHECK_FALSE(child->error);
    finish(std::move(*child));
    const UniqueFd seen(::open((directory.path() + "/seen").c_str(), O_RDONLY | O_CLOEXEC));
    CHECK(read_to_end(seen) == "/dev/null\n/dev/null\n");
}
