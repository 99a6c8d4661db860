#include "core/spawn.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "test/core/spawn_fixture.h"

using namespace ctrlexec;
using namespace ctrlexec::spawn_test;

TEST_CASE("a program's output, error output and exit status come back separately") {
    const TempDir directory;
    const Finished result = run(plan_for(directory.script("echo out; echo err >&2; exit 7")));
    CHECK(result.output == "out\n");
    CHECK(result.error == "err\n");
    CHECK(WIFEXITED(result.status));
    CHECK(WEXITSTATUS(result.status) == 7);
}

TEST_CASE("the pidfd becomes readable when the child has exited, and not before") {
    auto child = spawn(plan_for("/bin/cat"));
    REQUIRE(child);
    struct pollfd exited = {child->pidfd.get(), POLLIN, 0};
    CHECK(::poll(&exited, 1, 0) == 0);
    child->input.reset();
    CHECK(::poll(&exited, 1, 10'000) == 1);
    finish(std::move(*child));
}

TEST_CASE("what is written to the input arrives") {
    auto child = spawn(plan_for("/bin/cat"));
    REQUIRE(child);
    REQUIRE(::write(child->input.get(), "hello", 5) == 5);
    CHECK(finish(std::move(*child)).output == "hello");
}

TEST_CASE("our ends of the pipes do not block, and the child's do") {
    auto child = spawn(plan_for("/bin/cat"));
    REQUIRE(child);
    for (const UniqueFd* fd : {&child->input, &child->output, &child->error}) {
        CHECK((::fcntl(fd->get(), F_GETFL) & O_NONBLOCK) != 0);
        CHECK((::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC) != 0);
    }
    CHECK((::fcntl(child->pidfd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    const UniqueFd info(::open(("/proc/" + std::to_string(child->pid) + "/fdinfo/0").c_str(), O_RDONLY));
    const std::string text = read_to_end(info);
    const std::size_t flags = text.find("flags:	");
    REQUIRE(flags != std::string::npos);
    CHECK((std::strtoul(text.c_str() + flags + 7, nullptr, 8) & O_NONBLOCK) == 0);
    finish(std::move(*child));
}

TEST_CASE("a relative path is refused before anything starts") {
    CHECK(failure_of(plan_for("bin/true")).code == Errc::internal);
    CHECK(failure_of(plan_for("")).code == Errc::internal);
}

TEST_CASE("a NUL byte in an argument or in the environment is refused, not cut off") {
    CHECK(failure_of(plan_for("/bin/true", {std::string("a\0b", 3)})).code == Errc::bad_request);
    SpawnPlan plan = plan_for("/bin/true");
    plan.environment.push_back(std::string("A=a\0B=b", 7));
    CHECK(failure_of(plan).code == Errc::bad_request);
}

TEST_CASE("a child's status is not lost when SIGCHLD was ignored") {
    struct sigaction ignore = {};
    struct sigaction before = {};
    ignore.sa_handler = SIG_IGN;
    REQUIRE(::sigaction(SIGCHLD, &ignore, &before) == 0);
    auto child = spawn(plan_for("/bin/false"));
    int status = 0;
    const pid_t reaped = child ? ::waitpid(child->pid, &status, 0) : -1;
    ::sigaction(SIGCHLD, &before, nullptr);
    REQUIRE(child);
    CHECK(reaped == child->pid);
    CHECK(WEXITSTATUS(status) == 1);
}

TEST_CASE("no descriptor leaks, whether the start succeeds or fails") {
    run(plan_for("/bin/true"));
    const std::size_t before = open_descriptors();
    for (int i = 0; i < 200; ++i) {
        run(plan_for("/bin/true"));
        failure_of(plan_for("/nonexistent"));
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("when descriptors run out the error says so, and nothing was started") {
    struct rlimit before = {};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    struct rlimit few = before;
    few.rlim_cur = 64;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    std::vector<UniqueFd> taken;
    for (;;) {
        UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (!fd) break;
        taken.push_back(std::move(fd));
    }
    for (int free = 0; free < 9; ++free) {  // one pidfd and four pipes
        auto child = spawn(plan_for("/bin/true"));
        CHECK_FALSE(child);
        if (!child) CHECK(mentions(child.error().message, "too many open files"));
        taken.pop_back();
    }
    auto child = spawn(plan_for("/bin/true"));
    ::setrlimit(RLIMIT_NOFILE, &before);
    REQUIRE(child);
    finish(std::move(*child));
}
