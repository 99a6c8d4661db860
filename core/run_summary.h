// What a run on many hosts comes to: one exit code, and one line of words.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/host_result.h"
#include "core/result.h"

namespace ctrlexec {

// "N" hosts or "P%" of them.
class MinSuccess {
  public:
    // Errc::usage; also for more hosts than there are, which could never be reached.
    static Result<MinSuccess> parse(std::string_view text, std::size_t hosts);
    bool reached(std::size_t ok) const { return ok >= needed_; }

  private:
    explicit MinSuccess(std::size_t needed) : needed_(needed) {}
    std::size_t needed_;
};

// Exit codes of `run`, beside 0 and those of core/errc.cc; docs/commands.md promises them.
constexpr int exit_failed = 1;     // a script failed, was cancelled or lost; or several kinds of wrong
constexpr int exit_refused = 3;    // nothing worse than agents that do not permit it
constexpr int exit_busy = 4;       // … that run as much as they may
constexpr int exit_timed_out = 5;  // … than scripts whose time was over, or that still run
constexpr int exit_missing = 6;    // … than hosts of which nothing usable came back
// Of `wait` and `status`, where 1 means that something went wrong, whatever it was.
constexpr int exit_pending = 2;

class RunSummary {
  public:
    void add(const RunResult& result);

    std::size_t total() const;
    std::size_t count(Outcome outcome) const { return kinds_[static_cast<std::size_t>(outcome)].count; }
    bool all_ok() const { return count(Outcome::ok) == total(); }

    int exit_code(const std::optional<MinSuccess>& enough = std::nullopt) const;
    int wait_exit_code() const;

    // "2 ok, 1 timed out (web-03), 1 missing (db-01)": who is not ok by name, a bounded number of them.
    std::string line() const;

  private:
    struct Kind {
        std::size_t count = 0;
        std::vector<std::string> hosts;  // the first of them
    };
    std::array<Kind, outcome_count> kinds_;  // by outcome
};

}  // namespace ctrlexec
