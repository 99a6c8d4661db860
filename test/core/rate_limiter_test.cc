#include "core/rate_limiter.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

using ctrlexec::rate_limit_key;
using ctrlexec::RateLimit;
using ctrlexec::RateLimiter;
using Admission = ctrlexec::RateLimiter::Admission;
using std::chrono::seconds;

namespace {

const RateLimiter::Time start{std::chrono::hours(1)};
const RateLimit volume{10, seconds(60), seconds(300)};
const RateLimit probe{3, seconds(600), seconds(3600)};

RateLimiter limiter() {
    return {volume, probe, true};
}

// As AgentServer does it: what is refused never turns out to be anything.
RateLimiter::Event connect(RateLimiter& limits, const std::string& ip, bool failed, RateLimiter::Time now) {
    if (limits.admit(ip, now) == Admission::refused) return {};
    return limits.untrusted(ip, failed, now);
}

}  // namespace

TEST_CASE("a rate limit is COUNT/WINDOW/BLOCK") {
    const auto limit = RateLimit::parse("10/60/300");
    REQUIRE(limit);
    CHECK(limit->count == 10);
    CHECK(limit->window == seconds(60));
    CHECK(limit->block == seconds(300));
    CHECK(limit->text() == "10/60/300");
    CHECK(RateLimit::parse(" 1 / 2 / 3 ")->text() == "1/2/3");
    for (const char* bad : {"", "10", "10/60", "10/60/300/1", "0/60/300", "10/0/300", "10/60/0", "-1/60/300",
                            "10//300", "1001/60/300", "10/60/2592001", "a/b/c", "10/60/300x", "1e1/60/300",
                            "99999999999999999999/60/300"}) {
        CAPTURE(bad);
        CHECK_FALSE(RateLimit::parse(bad));
    }
}

TEST_CASE(
    "the tenth stranger within a minute blocks the address for five minutes, but no trusted dispatcher") {
    RateLimiter limits = limiter();
    for (int i = 0; i < 9; ++i) CHECK_FALSE(connect(limits, "192.0.2.1", false, start + seconds(i)).blocked);
    CHECK(limits.admit("192.0.2.1", start + seconds(9)) == Admission::open);
    const auto event = connect(limits, "192.0.2.1", false, start + seconds(9));
    REQUIRE(event.blocked);
    CHECK(event.kind == "volume");
    CHECK(event.blocked->text() == "10/60/300");
    CHECK(limits.admit("192.0.2.1", start + seconds(10)) == Admission::trusted_only);
    CHECK(limits.admit("192.0.2.1", start + seconds(308)) == Admission::trusted_only);
    CHECK(limits.admit("192.0.2.1", start + seconds(309)) == Admission::open);
    CHECK(limits.admit("192.0.2.2", start + seconds(10)) == Admission::open);
}

TEST_CASE("strangers further apart than the window never block") {
    RateLimiter limits = limiter();
    for (int i = 0; i < 100; ++i)
        CHECK_FALSE(connect(limits, "192.0.2.1", false, start + i * seconds(7)).blocked);
}

TEST_CASE("the third failure within ten minutes shuts the address out for an hour") {
    RateLimiter limits = limiter();
    CHECK_FALSE(connect(limits, "192.0.2.1", true, start).blocked);
    CHECK_FALSE(connect(limits, "192.0.2.1", true, start + seconds(300)).blocked);
    const auto event = connect(limits, "192.0.2.1", true, start + seconds(599));
    REQUIRE(event.blocked);
    CHECK(event.kind == "probe");
    CHECK(limits.admit("192.0.2.1", start + seconds(600)) == Admission::refused);
    CHECK(limits.admit("192.0.2.1", start + seconds(599 + 3599)) == Admission::refused);
    CHECK(limits.admit("192.0.2.1", start + seconds(599 + 3600)) == Admission::open);
}

TEST_CASE("an address that a trusted dispatcher has come from is never shut out before the handshake") {
    RateLimiter limits = limiter();
    (void)limits.trusted("192.0.2.1", start);
    for (int i = 0; i < 3; ++i) (void)connect(limits, "192.0.2.1", true, start);
    CHECK(limits.admit("192.0.2.1", start) == Admission::trusted_only);
}

TEST_CASE("loopback is never shut out before the handshake: the agent's own health check comes from there") {
    for (const std::string ip : {"127.0.0.1", "127.9.9.9", "::1"}) {
        RateLimiter limits = limiter();
        for (int i = 0; i < 3; ++i) (void)connect(limits, ip, true, start);
        CHECK(limits.admit(ip, start) == Admission::trusted_only);
    }
}

TEST_CASE("trusted connections are not counted") {
    RateLimiter limits = limiter();
    for (int i = 0; i < 1000; ++i) CHECK_FALSE(limits.trusted("192.0.2.1", start).blocked);
    CHECK(limits.admit("192.0.2.1", start) == Admission::open);
}

TEST_CASE("what happens during a block does not prolong it") {
    RateLimiter limits = limiter();
    for (int i = 0; i < 10; ++i) (void)connect(limits, "192.0.2.1", false, start);
    for (int i = 0; i < 50; ++i) CHECK_FALSE(connect(limits, "192.0.2.1", false, start + seconds(i)).blocked);
    CHECK(limits.admit("192.0.2.1", start + seconds(300)) == Admission::open);
}

TEST_CASE("a disabled limiter admits everybody and remembers nobody") {
    RateLimiter limits(volume, probe, false);
    for (int i = 0; i < 50; ++i) CHECK_FALSE(connect(limits, "192.0.2.1", true, start).blocked);
    CHECK(limits.admit("192.0.2.1", start) == Admission::open);
    CHECK(limits.size() == 0);
}

TEST_CASE("the addresses of one IPv6 subnet count together") {
    CHECK(rate_limit_key("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64");
    CHECK(rate_limit_key("192.0.2.1") == "192.0.2.1");
    RateLimiter limits = limiter();
    for (int i = 0; i < 3; ++i) (void)connect(limits, fmt::format("2001:db8::{}", i), true, start);
    CHECK(limits.admit("2001:db8::ffff", start) == Admission::refused);
    CHECK(limits.admit("2001:db8:0:1::1", start) == Admission::open);
}

TEST_CASE("memory is capped: what has run out goes first, then whoever matters least") {
    RateLimiter limits = limiter();
    (void)limits.trusted("198.51.100.1", start);
    for (int i = 0; i < 3; ++i) (void)connect(limits, "198.51.100.2", true, start);
    const auto address = [](std::size_t i) {
        return fmt::format("10.{}.{}.{}", i >> 16, i >> 8 & 255, i & 255);
    };
    for (std::size_t i = 2; i < RateLimiter::max_addresses; ++i)
        CHECK_FALSE(connect(limits, address(i), false, start + seconds(1)).evicted);
    CHECK(limits.size() == RateLimiter::max_addresses);

    const auto event = connect(limits, "203.0.113.1", false, start + seconds(2));
    REQUIRE(event.evicted);
    CHECK(event.evicted->substr(0, 3) == "10.");
    CHECK(limits.size() == RateLimiter::max_addresses);
    CHECK(limits.admit("198.51.100.2", start + seconds(2)) == Admission::refused);

    CHECK_FALSE(connect(limits, "203.0.113.2", false, start + seconds(100)).evicted);
    CHECK(limits.size() == 3);  // the trusted one, the blocked one and the new one
}

TEST_CASE("how long an address is still blocked is known, in whole seconds") {
    RateLimiter limits(RateLimit{2, seconds(60), seconds(30)}, probe, true);
    CHECK(limits.blocked_for("10.0.0.1", start) == seconds(0));
    limits.untrusted("10.0.0.1", false, start);
    CHECK(limits.blocked_for("10.0.0.1", start) == seconds(0));
    limits.untrusted("10.0.0.1", false, start);
    CHECK(limits.blocked_for("10.0.0.1", start) == seconds(30));
    CHECK(limits.blocked_for("10.0.0.1", start + std::chrono::milliseconds(29'001)) == seconds(1));
    CHECK(limits.blocked_for("10.0.0.1", start + seconds(30)) == seconds(0));
    CHECK(limits.blocked_for("10.0.0.2", start) == seconds(0));
}
