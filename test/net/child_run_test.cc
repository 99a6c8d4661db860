#include "net/child_run.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "test/net/child_fixture.h"

using namespace ctrlexec;
using namespace ctrlexec::child_test;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

// A process that is no child of ours any more: gone, or a zombie that init has not reaped yet.
bool is_running(pid_t pid) {
    const UniqueFd fd(::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
    char text[512] = {};
    if (!fd || ::read(fd.get(), text, sizeof text - 1) <= 0) return false;
    const std::string line = text;
    const std::size_t state = line.rfind(") ");
    return state != std::string::npos && line[state + 2] != 'Z' && line[state + 2] != 'X';
}

// KILL is delivered at once but acted on when the victim is next scheduled.
bool ends_soon(pid_t pid) {
    const auto limit = Clock::now() + 10s;
    while (is_running(pid)) {
        if (Clock::now() > limit) return false;
        ::usleep(1'000);
    }
    return true;
}

std::size_t open_descriptors() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        static_cast<void>(entry);
        ++count;
    }
    return count;
}

}  // namespace

TEST_CASE("a child that runs too long gets TERM and may clean up") {
    ChildLimits limits;
    limits.run_timeout = 1s;
    limits.kill_grace = 20s;
    const ChildOutcome outcome =
        run(shell("trap 'echo cleaned; exit 5' TERM; echo ready; while :; do sleep 0.01; done"), {}, limits);
    CHECK(outcome.timed_out);
    CHECK(outcome.exit_status == 5);
    CHECK(outcome.signal == 0);
    CHECK(outcome.output == "ready\ncleaned\n");
}

TEST_CASE("a child that ignores TERM gets KILL after the grace, and so does its group") {
    ChildLimits limits;
    limits.run_timeout = 1s;
    limits.kill_grace = 100ms;
    const auto start_time = Clock::now();
    const ChildOutcome outcome =
        run(shell("trap '' TERM; sleep 1000 & echo $!; while :; do sleep 1000; done"), {}, limits);
    const auto elapsed = Clock::now() - start_time;
    CHECK(outcome.timed_out);
    CHECK(outcome.signal == SIGKILL);
    CHECK(elapsed >= 1100ms);
    CHECK(elapsed < 10s);
    CHECK(ends_soon(static_cast<pid_t>(std::atoi(outcome.output.c_str()))));
    CHECK(no_child_left());
}

TEST_CASE("a stopped child can be timed out") {
    ChildLimits limits;
    limits.run_timeout = 100ms;
    limits.kill_grace = 20s;
    const ChildOutcome outcome = run(shell("kill -STOP $$; sleep 1000"), {}, limits);
    CHECK(outcome.timed_out);
    CHECK(outcome.signal == SIGTERM);
}

TEST_CASE("a grandchild that holds the pipes delays the end by no more than a moment, and is killed") {
    const auto start_time = Clock::now();
    const ChildOutcome outcome = run(shell("sleep 1000 & echo $!"));
    CHECK(Clock::now() - start_time < 5s);
    CHECK(outcome.exit_status == 0);
    const auto pid = static_cast<pid_t>(std::atoi(outcome.output.c_str()));
    REQUIRE(pid > 0);
    CHECK(ends_soon(pid));
}

TEST_CASE("a grandchild in a session of its own that holds the pipes cannot delay the end") {
    const auto start_time = Clock::now();
    const ChildOutcome outcome = run(shell("setsid sleep 1000 & echo $!"));
    CHECK(Clock::now() - start_time < 5s);
    const auto pid = static_cast<pid_t>(std::atoi(outcome.output.c_str()));
    REQUIRE(pid > 0);
    ::kill(pid, SIGKILL);
}

TEST_CASE("a grandchild that writes without end cannot delay the end") {
    ChildLimits limits;
    limits.output_limit = 1000;
    const auto start_time = Clock::now();
    const ChildOutcome outcome = run(shell("cat /dev/zero & cat /dev/zero >&2 & exit 9"), {}, limits);
    CHECK(Clock::now() - start_time < 5s);
    CHECK(outcome.exit_status == 9);
    CHECK(outcome.output_truncated);
    CHECK(outcome.error_truncated);
}

TEST_CASE("what a grandchild writes just after the child's exit still counts") {
    CHECK(run(shell("(until grep -q ') Z' /proc/$$/stat; do :; done; echo late) & echo early")).output ==
          "early\nlate\n");
}

TEST_CASE("a loop that is late loses nothing of what the child has written") {
    // The child is gone and its pipe full before the loop looks; a grandchild keeps the pipe open meanwhile.
    asio::io_context loop(1);
    std::optional<Result<ChildOutcome>> slot;
    start(loop, shell("sleep 1000 & head -c 60000 /dev/zero"), {}, {}, slot);
    loop.run_one();  // starts the child
    asio::post(loop, [] { ::usleep(600'000); });
    loop.run();
    REQUIRE(slot);
    REQUIRE(*slot);
    CHECK((*slot)->output.size() == 60'000);
}

TEST_CASE("fifty children at once are kept apart") {
    const std::size_t before = open_descriptors();
    {
        asio::io_context loop(1);
        std::vector<std::optional<Result<ChildOutcome>>> slots(50);
        for (std::size_t i = 0; i < slots.size(); ++i) {
            const std::string number = std::to_string(i);
            start(loop, shell("cat; head -c 200000 /dev/zero; echo " + number + " >&2; exit " + number),
                  "input " + number + "\n", {}, slots[i]);
        }
        loop.run();
        for (std::size_t i = 0; i < slots.size(); ++i) {
            CAPTURE(i);
            REQUIRE(slots[i]);
            REQUIRE(*slots[i]);
            const ChildOutcome& outcome = **slots[i];
            CHECK(outcome.exit_status == static_cast<int>(i));
            CHECK(outcome.output == "input " + std::to_string(i) + "\n" + std::string(200'000, '\0'));
            CHECK(outcome.error == std::to_string(i) + "\n");
        }
    }
    CHECK(open_descriptors() == before);
    CHECK(no_child_left());
}

TEST_CASE("two hundred runs leave no descriptor and no zombie") {
    asio::io_context loop(1);
    std::optional<Result<ChildOutcome>> slot;
    start(loop, shell("exit 0"), "input", {}, slot);
    loop.run();
    const std::size_t before = open_descriptors();
    for (int i = 0; i < 200; ++i) {
        slot.reset();
        SpawnPlan plan = shell("exit 0");
        if (i % 4 == 0) plan.program = ApprovedProgramForTest::approve("/nonexistent");
        loop.restart();
        start(loop, std::move(plan), "input", {}, slot);
        loop.run();
        REQUIRE(slot);
    }
    CHECK(open_descriptors() == before);
    CHECK(no_child_left());
}

TEST_CASE("a loop that goes away takes the running child and its group with it") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);  // the child writes here when it runs
    const UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    const std::string path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(ends[1]);
    const std::size_t before = open_descriptors();
    {
        asio::io_context loop(1);
        std::optional<Result<ChildOutcome>> slot;
        start(loop, shell("trap '' TERM; sleep 1000 & echo $! >" + path + "; wait"),
              std::string(5'000'000, 'i'), {}, slot);
        struct pollfd written = {reading.get(), POLLIN, 0};
        const auto limit = Clock::now() + 10s;
        while (::poll(&written, 1, 0) == 0 && Clock::now() < limit) loop.run_for(10ms);
        CHECK_FALSE(slot);
        REQUIRE(::poll(&written, 1, 0) == 1);
    }
    CHECK(no_child_left());
    CHECK(open_descriptors() == before);
    char text[32] = {};
    REQUIRE(::read(reading.get(), text, sizeof text - 1) > 0);
    CHECK(ends_soon(static_cast<pid_t>(std::atoi(text))));
}

TEST_CASE("a loop that goes away before its first turn starts nothing") {
    {
        asio::io_context loop(1);
        std::optional<Result<ChildOutcome>> slot;
        start(loop, shell("sleep 1000"), "input", {}, slot);
    }
    CHECK(no_child_left());
}

TEST_CASE("a loop that goes away between the child's exit and the end of the run leaves no zombie") {
    for (int turns = 1; turns < 12; ++turns) {
        CAPTURE(turns);
        {
            asio::io_context loop(1);
            std::optional<Result<ChildOutcome>> slot;
            start(loop, shell("echo x; sleep 1000 & exit 0"), std::string(200'000, 'i'), {}, slot);
            for (int i = 0; i < turns; ++i) loop.run_one_for(50ms);
        }
        CHECK(no_child_left());
    }
}

TEST_CASE("a cancelled run stops the child with TERM and says that it was cancelled") {
    ignore_sigpipe();
    asio::io_context loop(1);
    asio::cancellation_signal cancel;
    asio::steady_timer soon(loop, 100ms);
    std::optional<Result<ChildOutcome>> slot;
    bool thrown = false;
    ChildLimits limits;
    limits.kill_grace = 20s;
    asio::co_spawn(loop, run_into(&slot, shell("sleep 1000"), {}, limits),
                   asio::bind_cancellation_slot(
                       cancel.slot(), [&thrown](std::exception_ptr error) { thrown = error != nullptr; }));
    soon.async_wait([&](const asio::error_code&) { cancel.emit(asio::cancellation_type::terminal); });
    const auto start_time = Clock::now();
    loop.run();
    CHECK(Clock::now() - start_time < 10s);
    CHECK_FALSE(thrown);
    REQUIRE(slot);
    REQUIRE_FALSE(*slot);
    CHECK(slot->error().code == Errc::cancelled);
    CHECK(no_child_left());
}

TEST_CASE("an event that was meant for a closed descriptor does not end a child") {
    asio::io_context io;
    int pipes[2][2];
    std::vector<asio::posix::stream_descriptor> ends;
    for (auto& each : pipes) {
        REQUIRE(::pipe2(each, O_CLOEXEC | O_NONBLOCK) == 0);
        ends.emplace_back(io, each[0]);
        REQUIRE(::write(each[1], "x", 1) == 1);
    }
    // Both events come out of the kernel in one batch. Whichever handler runs first closes the other end, and
    // the child's pidfd gets its place in the reactor, together with the event that is already on its way.
    const auto child = std::make_shared<ChildRun>(io.get_executor(), ChildLimits());
    bool started = false;
    for (std::size_t i = 0; i < 2; ++i) {
        ends[i].async_wait(asio::posix::descriptor_base::wait_read, [&, i](const asio::error_code& error) {
            if (error || started) return;
            started = true;
            ends[1 - i].close();
            SpawnPlan plan = shell("sleep 0.3; exit 7");
            plan.capture_output = false;
            REQUIRE(child->start(plan, ""));
        });
    }
    while (!child->finished() && io.run_one() > 0) {
    }
    const auto outcome = child->take_outcome();
    REQUIRE(outcome);
    CHECK(outcome->signal == 0);
    CHECK(outcome->exit_status == 7);
    for (const auto& each : pipes) ::close(each[1]);
}

TEST_CASE("a child that is cancelled gets TERM, and the outcome says so") {
    asio::io_context io(1);
    const auto child = std::make_shared<ChildRun>(io.get_executor(), ChildLimits());
    REQUIRE(child->start(shell("echo begun; exec sleep 1000"), {}));
    asio::post(io, [&] { child->cancel(); });
    io.run();
    REQUIRE(child->finished());
    const auto outcome = child->take_outcome();
    REQUIRE(outcome);
    CHECK(outcome->cancelled);
    CHECK_FALSE(outcome->timed_out);
    CHECK(outcome->signal == SIGTERM);
    CHECK(no_child_left());
}

TEST_CASE("output is passed on as it comes, also what is not kept") {
    asio::io_context io(1);
    ChildLimits limits;
    limits.output_limit = 10;
    std::string out;
    std::string err;
    const auto child = std::make_shared<ChildRun>(io.get_executor(), limits,
                                                  [&](OutputStream stream, std::string_view bytes) {
                                                      (stream == OutputStream::output ? out : err) += bytes;
                                                  });
    REQUIRE(child->start(shell("seq 1000; echo bad >&2"), {}));
    io.run();
    CHECK(out.size() == 3893);
    CHECK(out.ends_with("\n1000\n"));
    CHECK(err == "bad\n");
    CHECK(child->take_outcome()->output_bytes == 3893);
}

TEST_CASE("a child that takes long is told of once, and one that does not is not") {
    for (const bool slow : {true, false}) {
        asio::io_context io(1);
        int told = 0;
        ChildEvents events;
        events.slow_after = slow ? 50ms : 1h;
        events.on_slow = [&]() -> asio::awaitable<void> {
            ++told;
            co_return;
        };
        std::optional<Result<ChildOutcome>> outcome;
        start(io, shell("sleep 0.3"), {}, {}, outcome, std::move(events));
        io.run();
        REQUIRE(outcome);
        CHECK((*outcome)->exit_status == 0);
        CHECK(told == (slow ? 1 : 0));
    }
}
