#include "net/child.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <utility>

#include "test/net/child_fixture.h"

using namespace ctrlexec;
using namespace ctrlexec::child_test;
using namespace std::chrono_literals;

namespace {

std::size_t resident_kilobytes() {
    const UniqueFd fd(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
    char text[128] = {};
    REQUIRE(::read(fd.get(), text, sizeof text - 1) > 0);
    char* after_size = nullptr;
    std::strtoul(text, &after_size, 10);
    return std::strtoul(after_size, nullptr, 10) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

const std::string ten_megabytes = "head -c 10000000 /dev/zero | tr '\\0' ";

}  // namespace

TEST_CASE("output, error output and exit status are collected") {
    const ChildOutcome outcome = run(shell("echo out; echo err >&2; exit 42"));
    CHECK(outcome.exit_status == 42);
    CHECK(outcome.signal == 0);
    CHECK(outcome.output == "out\n");
    CHECK(outcome.error == "err\n");
    CHECK_FALSE(outcome.output_truncated);
    CHECK_FALSE(outcome.error_truncated);
    CHECK_FALSE(outcome.timed_out);
    CHECK_FALSE(outcome.input_timed_out);
    CHECK(no_child_left());
}

TEST_CASE("a death by signal is told from an exit") {
    const ChildOutcome outcome = run(shell("kill -9 $$"));
    CHECK(outcome.signal == SIGKILL);
    CHECK(outcome.exit_status == 0);
    CHECK_FALSE(outcome.timed_out);
    CHECK(no_child_left());
}

TEST_CASE("a program that cannot be started is an error") {
    SpawnPlan plan(ApprovedProgramForTest::approve("/nonexistent/script"));
    const auto result = try_run(std::move(plan), "input");
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Errc::not_found);
    CHECK(no_child_left());
}

TEST_CASE("the input arrives whole, and then its end") {
    std::string input(5'000'000, 'i');
    input.back() = 'e';
    const ChildOutcome outcome = run(shell("cat"), input);
    CHECK(outcome.output == input);
    CHECK_FALSE(outcome.input_timed_out);
}

TEST_CASE("an empty input is at its end at once") {
    CHECK(run(shell("cat; echo done")).output == "done\n");
}

TEST_CASE("ten megabytes on output and error output at the same time block nobody") {
    const ChildOutcome outcome = run(shell(ten_megabytes + "o & " + ten_megabytes + "e >&2; wait"));
    CHECK(outcome.output == std::string(10'000'000, 'o'));
    CHECK(outcome.error == std::string(10'000'000, 'e'));
    CHECK_FALSE(outcome.output_truncated);
}

TEST_CASE("no order of reading and writing in the child blocks it") {
    const std::string input(1'000'000, 'i');
    CHECK(run(shell(ten_megabytes + "e >&2; " + ten_megabytes + "o; wc -c >&2"), input).output.size() ==
          10'000'000);
    CHECK(run(shell("wc -c; " + ten_megabytes + "o >&2"), input).error.size() == 10'000'000);
    CHECK(run(shell("tee /dev/stderr"), input).error == input);
}

TEST_CASE("past the limit the first and the last half of the output stay, and memory stays bounded") {
    ChildLimits limits;
    limits.output_limit = 100'000;
    const std::size_t before = resident_kilobytes();
    const ChildOutcome outcome =
        run(shell("echo first; head -c 100000000 /dev/zero; echo last; echo all >&2"), {}, limits);
    CHECK(outcome.output.starts_with("first\n"));
    CHECK(outcome.output.ends_with("last\n"));
    CHECK(outcome.output.find("\n[ctrl-exec: 99900011 bytes left out]\n") == 50'000);
    CHECK(outcome.output_truncated);
    CHECK(outcome.output_bytes == 100'000'011);
    CHECK(outcome.error == "all\n");
    CHECK_FALSE(outcome.error_truncated);
    CHECK(resident_kilobytes() < before + 50'000);
}

TEST_CASE("output of exactly the limit is not truncated") {
    ChildLimits limits;
    limits.output_limit = 4;
    const ChildOutcome outcome = run(shell("printf 1234; printf 12345 >&2"), {}, limits);
    CHECK(outcome.output == "1234");
    CHECK_FALSE(outcome.output_truncated);
    CHECK(outcome.error == "12\n[ctrl-exec: 1 bytes left out]\n45");
    CHECK(outcome.error_truncated);
    CHECK(outcome.error_bytes == 5);
}

TEST_CASE("output that is not captured is not collected") {
    SpawnPlan plan = shell("echo out; echo err >&2; exit 3");
    plan.capture_output = false;
    const ChildOutcome outcome = run(std::move(plan), "input");
    CHECK(outcome.exit_status == 3);
    CHECK(outcome.output.empty());
    CHECK(outcome.error.empty());
}

TEST_CASE("a child that exits without reading its input succeeds") {
    const ChildOutcome outcome = run(shell("echo done"), std::string(5'000'000, 'i'));
    CHECK(outcome.exit_status == 0);
    CHECK(outcome.output == "done\n");
    CHECK_FALSE(outcome.input_timed_out);
}

TEST_CASE("a child that closes its input and goes on is not disturbed") {
    const ChildOutcome outcome = run(shell("exec <&-; sleep 0.1; echo done"), std::string(5'000'000, 'i'));
    CHECK(outcome.exit_status == 0);
    CHECK(outcome.output == "done\n");
    CHECK_FALSE(outcome.input_timed_out);
}

TEST_CASE("a child that does not read its input in time loses the rest of it, but goes on") {
    ChildLimits limits;
    limits.input_timeout = 50ms;
    // Reads nothing until no descriptor of ours refers to its input any more.
    const std::string until_closed =
        "pipe=$(readlink /proc/$$/fd/0); while ls -l /proc/$PPID/fd | grep -qF \"$pipe\"; do :; done; ";
    const ChildOutcome outcome = run(shell(until_closed + "wc -c"), std::string(5'000'000, 'i'), limits);
    CHECK(outcome.input_timed_out);
    CHECK(outcome.exit_status == 0);
    const unsigned long taken = std::strtoul(outcome.output.c_str(), nullptr, 10);
    CHECK(taken > 0);
    CHECK(taken < 5'000'000);
}
