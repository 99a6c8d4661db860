#include "core/duration.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;
using namespace std::chrono_literals;

TEST_CASE("a duration is a number with a unit, or seconds without one") {
    const auto is = [](std::string_view text, std::chrono::milliseconds expected) {
        const auto duration = parse_duration(text);
        REQUIRE_MESSAGE(duration, text);
        CHECK_MESSAGE(*duration == expected, text);
    };
    is("1ms", 1ms);
    is("500ms", 500ms);
    is("30s", 30s);
    is("30", 30s);
    is("5m", 5min);
    is("2h", 2h);
    is("1d", 24h);
    is("007s", 7s);
    is("30d", 720h);
    is("2592000000ms", 720h);
}

TEST_CASE("what is no duration is refused, and so is none and more than 30 days") {
    for (const std::string_view text : {"",
                                        "s",
                                        "ms",
                                        "0",
                                        "0s",
                                        "-1s",
                                        "+1s",
                                        " 1s",
                                        "1 s",
                                        "1s ",
                                        "1.5s",
                                        "1e3",
                                        "0x10",
                                        "1S",
                                        "1M",
                                        "1w",
                                        "1sec",
                                        "1m30s",
                                        "31d",
                                        "2592001",
                                        "2592000001ms",
                                        "18446744073709551616",
                                        "9223372036854775807d",
                                        "99999999999999999999999s",
                                        "1s\n",
                                        "\x1b[2J"}) {
        const auto duration = parse_duration(text);
        REQUIRE_MESSAGE(!duration, text);
        CHECK(duration.error().code == Errc::bad_request);
        CHECK(mentions(duration.error().message,
                       "must be a time from 1ms to 30d, such as 30s, 5m or 2h, not '"));
        for (const char c : duration.error().message) CHECK(static_cast<unsigned char>(c) >= 0x20);
    }
}

TEST_CASE("a duration lies within the caller's bounds") {
    CHECK(parse_duration("0", 0ms));
    CHECK(parse_duration("0ms", 0ms));
    CHECK(parse_duration("10m", 1s, 10min));
    CHECK_FALSE(parse_duration("999ms", 1s, 10min));
    CHECK(mentions(parse_duration("601s", 1s, 10min).error().message, "from 1s to 10m"));
}

TEST_CASE("a duration is written in the largest unit that tells it exactly") {
    CHECK(duration_text(0ms) == "0s");
    CHECK(duration_text(1500ms) == "1500ms");
    CHECK(duration_text(90s) == "90s");
    CHECK(duration_text(5min) == "5m");
    CHECK(duration_text(720h) == "30d");
    for (const auto duration : {1ms, 5000ms, 60'000ms, 86'400'000ms, 86'400'001ms})
        CHECK(*parse_duration(duration_text(duration)) == duration);
}
