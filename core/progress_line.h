// How far a run is, as one line of a terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/run_summary.h"

namespace ctrlexec {

struct ProgressCount {
    enum class Tone : std::uint8_t { good, odd, bad };
    std::size_t count = 0;
    std::string_view what;  // "ok", "timed out"
    Tone tone = Tone::good;
};

// The outcomes that there are.
std::vector<ProgressCount> progress_counts(const RunSummary& summary);

// "[=====>    ] 612/1000  598 ok  3 failed  11 missing  12 s", not longer than `columns`: the bar goes first,
// then counts from the end.
std::string progress_line(std::span<const ProgressCount> counts, std::size_t total,
                          std::chrono::seconds elapsed, std::size_t columns, bool colour);

}  // namespace ctrlexec
