// Attempts to pair whose agent hung up, or never showed a check code, before anybody could decide.
#pragma once

#include <chrono>
#include <deque>
#include <string>

namespace ctrlexec {

// Whoever asks can compute the check code that the dispatcher will show as soon as he has the first answer,
// and could begin anew without end until it is the one he wants. So each attempt that breaks off keeps its
// place in the queue for a minute: with ten places ten guesses of 100,000,000 a minute, from wherever they
// come. And people are told how many there were in a host's name.
class BrokenAttempts {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::seconds hold{60};
    static constexpr std::chrono::hours memory{1};

    void add(const std::string& hostname, Clock::time_point now);
    std::size_t places_held(Clock::time_point now) const;
    // Within the last hour, as far as 20,000 in all go.
    int of(const std::string& hostname, Clock::time_point now) const;

  private:
    struct Attempt {
        std::string hostname;
        Clock::time_point end;
    };
    std::deque<Attempt> attempts_;  // the oldest first
};

}  // namespace ctrlexec
