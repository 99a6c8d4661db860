#include "core/progress_line.h"

#include <fmt/format.h>

#include <algorithm>

namespace ctrlexec {
namespace {

constexpr std::size_t longest_bar = 30;
constexpr std::size_t shortest_bar = 5;
constexpr std::string_view plain = "\x1b[0m";

struct Piece {
    std::string text;
    std::string_view colour;
};

std::string_view colour_of(ProgressCount::Tone tone) {
    using Tone = ProgressCount::Tone;
    return tone == Tone::good ? "\x1b[32m" : tone == Tone::odd ? "\x1b[33m" : "\x1b[31m";
}

std::string bar(std::size_t done, std::size_t total, std::size_t width) {
    const std::size_t filled = total == 0 ? width : std::min(width, width * done / total);
    std::string text(filled, '=');
    if (filled < width) text += '>';
    text.resize(width, ' ');
    return fmt::format("[{}] ", text);
}

}  // namespace

std::vector<ProgressCount> progress_counts(const RunSummary& summary) {
    using Tone = ProgressCount::Tone;
    std::vector<ProgressCount> counts;
    for (std::size_t i = 0; i < outcome_count; ++i) {
        const auto outcome = static_cast<Outcome>(i);
        const bool odd =
            outcome == Outcome::missing || outcome == Outcome::still_running || outcome == Outcome::skipped;
        const Tone tone = outcome == Outcome::ok ? Tone::good : odd ? Tone::odd : Tone::bad;
        if (summary.count(outcome) > 0) counts.push_back({summary.count(outcome), spoken(outcome), tone});
    }
    return counts;
}

std::string progress_line(std::span<const ProgressCount> counts, std::size_t total,
                          std::chrono::seconds elapsed, std::size_t columns, bool colour) {
    std::size_t done = 0;
    std::vector<Piece> pieces(1);
    for (const auto& each : counts) {
        done += each.count;
        pieces.push_back({fmt::format("  {} {}", each.count, each.what), colour_of(each.tone)});
    }
    pieces[0].text = fmt::format("{}/{}", done, total);
    pieces.push_back({fmt::format("  {} s", elapsed.count()), {}});
    std::string line;
    std::size_t needed = 0;
    for (const auto& piece : pieces) needed += piece.text.size();
    const std::size_t room = columns > needed + 3 ? columns - needed - 3 : 0;
    if (room >= shortest_bar) line = bar(done, total, std::min(room, longest_bar));
    std::size_t left = columns - std::min(columns, line.size());
    for (const auto& piece : pieces) {
        if (piece.text.size() > left) break;
        left -= piece.text.size();
        if (colour && !piece.colour.empty()) {
            line.append(piece.colour).append(piece.text).append(plain);
        } else {
            line += piece.text;
        }
    }
    return line;
}

}  // namespace ctrlexec
