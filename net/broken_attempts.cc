#include "net/broken_attempts.h"

#include <algorithm>

namespace ctrlexec {
namespace {

constexpr std::size_t max_attempts = 20'000;  // more than twice the places that a queue can have

}  // namespace

void BrokenAttempts::add(const std::string& hostname, Clock::time_point now) {
    while (!attempts_.empty() && (now - attempts_.front().end > memory || attempts_.size() >= max_attempts))
        attempts_.pop_front();
    attempts_.push_back({hostname, now});
}

std::size_t BrokenAttempts::places_held(Clock::time_point now) const {
    const auto first =
        std::ranges::find_if(attempts_, [now](const Attempt& a) { return now - a.end < hold; });
    return static_cast<std::size_t>(attempts_.end() - first);
}

int BrokenAttempts::of(const std::string& hostname, Clock::time_point now) const {
    return static_cast<int>(std::ranges::count_if(attempts_, [&](const Attempt& attempt) {
        return attempt.hostname == hostname && now - attempt.end <= memory;
    }));
}

}  // namespace ctrlexec
