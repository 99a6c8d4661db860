// Children run to their end on a loop of their own, in tests.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <cerrno>
#include <csignal>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "net/child.h"
#include "test/approved_program_for_test.h"

namespace ctrlexec::child_test {

inline SpawnPlan shell(std::string text) {
    SpawnPlan plan(ApprovedProgramForTest::approve("/bin/sh"));
    plan.arguments = {"-c", std::move(text)};
    plan.environment = {"PATH=/usr/bin:/bin"};
    return plan;
}

// For tests about something else than the limit of the output.
inline ChildLimits roomy() {
    ChildLimits limits;
    limits.output_limit = 16u << 20;
    return limits;
}

// As the program does it; a test that needs SIGPIPE restores it.
inline void ignore_sigpipe() {
    ::signal(SIGPIPE, SIG_IGN);
}

inline asio::awaitable<void> run_into(std::optional<Result<ChildOutcome>>* slot, SpawnPlan plan,
                                      std::string input, ChildLimits limits, ChildEvents events = {}) {
    auto result = co_await run_child(std::move(plan), std::move(input), limits, nullptr, std::move(events));
    slot->emplace(std::move(result));
}

// Starts a run whose result lands in `slot`.
inline void start(asio::io_context& loop, SpawnPlan plan, std::string input, ChildLimits limits,
                  std::optional<Result<ChildOutcome>>& slot, ChildEvents events = {}) {
    ignore_sigpipe();
    asio::co_spawn(loop, run_into(&slot, std::move(plan), std::move(input), limits, std::move(events)),
                   [](std::exception_ptr thrown) {
                       if (thrown) std::rethrow_exception(thrown);
                   });
}

inline Result<ChildOutcome> try_run(SpawnPlan plan, std::string input = {}, ChildLimits limits = roomy()) {
    asio::io_context loop(1);
    std::optional<Result<ChildOutcome>> slot;
    start(loop, std::move(plan), std::move(input), limits, slot);
    loop.run();  // ends by itself only when nothing waits any more
    REQUIRE(slot);
    return std::move(*slot);
}

inline ChildOutcome run(SpawnPlan plan, std::string input = {}, ChildLimits limits = roomy()) {
    auto result = try_run(std::move(plan), std::move(input), limits);
    REQUIRE_MESSAGE(result, (result ? std::string() : result.error().text()));
    return std::move(*result);
}

inline bool no_child_left() {
    return ::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
}

}  // namespace ctrlexec::child_test
