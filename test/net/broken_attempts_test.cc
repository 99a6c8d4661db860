#include "net/broken_attempts.h"

#include <doctest/doctest.h>

using namespace ctrlexec;
using namespace std::chrono_literals;

TEST_CASE("an attempt that breaks off holds its place for a minute, and is remembered for an hour") {
    BrokenAttempts attempts;
    const BrokenAttempts::Clock::time_point start{};
    CHECK(attempts.places_held(start) == 0);
    attempts.add("web-01", start);
    attempts.add("web-02", start + 10s);
    attempts.add("web-01", start + 20s);
    CHECK(attempts.places_held(start + 59s) == 3);
    CHECK(attempts.places_held(start + 60s) == 2);
    CHECK(attempts.places_held(start + 80s) == 0);
    CHECK(attempts.of("web-01", start + 80s) == 2);
    CHECK(attempts.of("web-02", start + 80s) == 1);
    CHECK(attempts.of("web-03", start + 80s) == 0);
    CHECK(attempts.of("web-01", start + 1h + 10s) == 1);
    CHECK(attempts.of("web-01", start + 1h + 21s) == 0);
}

TEST_CASE("of many attempts the last are remembered") {
    BrokenAttempts attempts;
    const BrokenAttempts::Clock::time_point start{};
    attempts.add("web-01", start);
    for (int i = 0; i < 20'000; ++i) attempts.add("web-02", start);
    CHECK(attempts.of("web-01", start) == 0);
    CHECK(attempts.of("web-02", start) == 20'000);
}
