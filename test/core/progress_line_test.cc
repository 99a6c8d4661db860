#include "core/progress_line.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace ctrlexec;
using namespace std::chrono_literals;
using Tone = ProgressCount::Tone;

namespace {

const std::vector<ProgressCount> some{
    {598, "ok", Tone::good}, {3, "failed", Tone::bad}, {11, "missing", Tone::odd}};

std::string line(std::size_t columns, bool colour = false) {
    return progress_line(some, 1000, 12s, columns, colour);
}

}  // namespace

TEST_CASE("the line has a bar, what is done, the outcomes and the time") {
    CHECK(line(200) == "[==================>           ] 612/1000  598 ok  3 failed  11 missing  12 s");
    CHECK(progress_line({}, 5, 0s, 80, false) == "[>                             ] 0/5  0 s");
    const std::vector<ProgressCount> all{{5, "ok", Tone::good}};
    CHECK(progress_line(all, 5, 3s, 80, false) == "[==============================] 5/5  5 ok  3 s");
}

TEST_CASE("it never needs more columns than there are: the bar gives way first, then the end") {
    for (std::size_t columns = 0; columns < 120; ++columns)
        CHECK_MESSAGE(line(columns).size() <= columns, columns);
    CHECK(line(60) == "[=======>     ] 612/1000  598 ok  3 failed  11 missing  12 s");
    CHECK(line(50) == "612/1000  598 ok  3 failed  11 missing  12 s");
    CHECK(line(30) == "612/1000  598 ok  3 failed");
    CHECK(line(8) == "612/1000");
    CHECK(line(7).empty());
}

TEST_CASE("colours cost no columns and are always ended") {
    CHECK(line(30, true) == "612/1000\x1b[32m  598 ok\x1b[0m\x1b[31m  3 failed\x1b[0m");
}

TEST_CASE("outcomes that there are none of are not counted") {
    RunSummary summary;
    RunResult result;
    result.exit = 0;
    summary.add(result);
    result.timed_out = true;
    summary.add(result);
    const auto counts = progress_counts(summary);
    REQUIRE(counts.size() == 2);
    CHECK(counts[0].what == "ok");
    CHECK(counts[1].what == "timed out");
    CHECK(counts[1].count == 1);
}
