#include "core/run_summary.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

using namespace ctrlexec;

namespace {

constexpr std::array<Outcome, outcome_count> all_outcomes{
    Outcome::ok,      Outcome::failed, Outcome::timed_out, Outcome::cancelled,     Outcome::busy,
    Outcome::refused, Outcome::lost,   Outcome::missing,   Outcome::still_running, Outcome::skipped,
    Outcome::pending};

RunResult result_of(Outcome outcome, std::string host = "web-01") {
    RunResult result;
    result.host = std::move(host);
    result.exit = outcome == Outcome::ok ? 0 : outcome == Outcome::failed ? 3 : 126;
    result.timed_out = outcome == Outcome::timed_out;
    result.cancelled = outcome == Outcome::cancelled;
    result.busy = outcome == Outcome::busy;
    result.lost = outcome == Outcome::lost;
    result.still_running = outcome == Outcome::still_running;
    result.skipped = outcome == Outcome::skipped;
    result.pending = outcome == Outcome::pending;
    if (outcome == Outcome::refused) result.exit = -1;
    if (outcome == Outcome::missing) result.failure = Errc::unreachable;
    return result;
}

RunSummary summary_of(const std::vector<Outcome>& outcomes) {
    RunSummary summary;
    for (const auto outcome : outcomes) summary.add(result_of(outcome));
    return summary;
}

int alone(Outcome outcome) {
    return summary_of({outcome}).exit_code();
}

}  // namespace

TEST_CASE("each outcome alone has its exit code") {
    CHECK(alone(Outcome::ok) == 0);
    CHECK(alone(Outcome::failed) == 1);
    CHECK(alone(Outcome::cancelled) == 1);
    CHECK(alone(Outcome::lost) == 1);
    CHECK(alone(Outcome::skipped) == 1);
    CHECK(alone(Outcome::pending) == 1);
    CHECK(alone(Outcome::refused) == 3);
    CHECK(alone(Outcome::busy) == 4);
    CHECK(alone(Outcome::timed_out) == 5);
    CHECK(alone(Outcome::still_running) == 5);
    CHECK(alone(Outcome::missing) == 6);
}

TEST_CASE("of every mixture of outcomes: one kind of wrong has its exit code, several are 1, only ok is 0") {
    for (unsigned mixture = 1; mixture < 1u << outcome_count; ++mixture) {
        std::vector<Outcome> outcomes;
        std::vector<int> wrong;
        for (std::size_t i = 0; i < outcome_count; ++i) {
            if ((mixture >> i & 1) == 0) continue;
            const Outcome outcome = all_outcomes[i];
            outcomes.push_back(outcome);
            if (outcome != Outcome::ok) wrong.push_back(alone(outcome));
        }
        const bool one_kind = std::all_of(wrong.begin(), wrong.end(), [&](int c) { return c == wrong[0]; });
        const int expected = wrong.empty() ? 0 : one_kind ? wrong[0] : 1;
        CHECK_MESSAGE(summary_of(outcomes).exit_code() == expected, mixture);
    }
}

TEST_CASE("enough hosts that are ok make it 0, whatever the others are") {
    const RunSummary summary = summary_of({Outcome::ok, Outcome::missing, Outcome::ok, Outcome::timed_out});
    for (const auto* enough : {"1", "2", "50%", "1%", "26%"}) {
        const auto parsed = MinSuccess::parse(enough, summary.total());
        REQUIRE_MESSAGE(parsed, enough);
        CHECK_MESSAGE(summary.exit_code(*parsed) == 0, enough);
    }
    for (const auto* more : {"3", "4", "51%", "100%"}) {
        const auto parsed = MinSuccess::parse(more, summary.total());
        REQUIRE_MESSAGE(parsed, more);
        CHECK_MESSAGE(summary.exit_code(*parsed) == 1, more);
    }
}

TEST_CASE("hosts that were skipped are never enough") {
    const RunSummary summary = summary_of({Outcome::ok, Outcome::ok, Outcome::failed, Outcome::skipped});
    CHECK(summary.exit_code(*MinSuccess::parse("1", summary.total())) == 1);
}

TEST_CASE("--min-success that is no number of the hosts is refused") {
    for (const auto* text :
         {"", "0", "-1", "5", "%", "0%", "101%", "1.5", "50 %", "50%%", "all", "1e1", " 1"}) {
        const auto parsed = MinSuccess::parse(text, 4);
        REQUIRE_MESSAGE(!parsed, text);
        CHECK(parsed.error().code == Errc::usage);
    }
}

TEST_CASE("wait has 2 for what is pending, 1 for whatever went wrong") {
    CHECK(summary_of({Outcome::ok, Outcome::ok}).wait_exit_code() == 0);
    CHECK(summary_of({Outcome::ok, Outcome::missing}).wait_exit_code() == 1);
    CHECK(summary_of({Outcome::failed, Outcome::pending}).wait_exit_code() == 2);
    CHECK(summary_of({Outcome::timed_out}).wait_exit_code() == 1);
}

TEST_CASE("the line says how many of each kind, and who is not ok") {
    RunSummary summary = summary_of({Outcome::ok, Outcome::ok});
    CHECK(summary.line() == "2 ok");
    summary.add(result_of(Outcome::missing, "db-01"));
    summary.add(result_of(Outcome::timed_out, "web-03"));
    summary.add(result_of(Outcome::missing, "db\x1b[2J"));
    CHECK(summary.line() == "2 ok, 1 timed out (web-03), 2 missing (db-01, db\\x1b[2J)");
    for (int i = 0; i < 20; ++i) summary.add(result_of(Outcome::failed, "h" + std::to_string(i)));
    CHECK(summary.line() ==
          "2 ok, 20 failed (h0, h1, h2, h3, h4, h5, h6, h7, h8, h9 and 10 more), 1 timed out (web-03), "
          "2 missing (db-01, db\\x1b[2J)");
}
