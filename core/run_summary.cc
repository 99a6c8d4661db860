#include "core/run_summary.h"

#include <fmt/format.h>

#include "core/config_file.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_names = 10;  // of one kind, in the line of words

// What each outcome alone makes of the exit code.
constexpr int code_of(Outcome outcome) {
    switch (outcome) {
        case Outcome::ok:
            return 0;
        case Outcome::refused:
            return exit_refused;
        case Outcome::busy:
            return exit_busy;
        case Outcome::timed_out:
        case Outcome::still_running:
            return exit_timed_out;
        case Outcome::missing:
            return exit_missing;
        default:
            return exit_failed;
    }
}

std::string names(const std::vector<std::string>& shown, std::size_t count) {
    std::string text;
    for (const auto& host : shown) text += (text.empty() ? "" : ", ") + printable(host);
    if (shown.size() < count) text += fmt::format(" and {} more", count - shown.size());
    return text;
}

}  // namespace

Result<MinSuccess> MinSuccess::parse(std::string_view text, std::size_t hosts) {
    const bool percent = text.ends_with('%');
    const std::string_view digits = text.substr(0, text.size() - (percent ? 1 : 0));
    const auto most = percent ? std::int64_t{100} : static_cast<std::int64_t>(hosts);
    std::int64_t number = 0;
    if (!parse_integer(digits, 1, most, number)) {
        return fail(Errc::usage,
                    fmt::format("--min-success must be 1 to {}, the hosts there are, or 1% to 100%", hosts));
    }
    const auto wanted = static_cast<std::size_t>(number);
    return MinSuccess(percent ? (hosts * wanted + 99) / 100 : wanted);
}

void RunSummary::add(const RunResult& result) {
    Kind& kind = kinds_[static_cast<std::size_t>(result.outcome())];
    ++kind.count;
    if (kind.hosts.size() < max_names) kind.hosts.push_back(result.host);
}

std::size_t RunSummary::total() const {
    std::size_t sum = 0;
    for (const auto& kind : kinds_) sum += kind.count;
    return sum;
}

int RunSummary::exit_code(const std::optional<MinSuccess>& enough) const {
    // Nobody decided that those who were skipped do not matter.
    if (enough && enough->reached(count(Outcome::ok)) && count(Outcome::skipped) == 0) return 0;
    int code = 0;
    for (std::size_t i = 0; i < outcome_count; ++i) {
        const int one = code_of(static_cast<Outcome>(i));
        if (kinds_[i].count == 0 || one == 0 || one == code) continue;
        if (code != 0) return exit_failed;
        code = one;
    }
    return code;
}

int RunSummary::wait_exit_code() const {
    if (count(Outcome::pending) > 0) return exit_pending;
    return all_ok() ? 0 : exit_failed;
}

std::string RunSummary::line() const {
    std::string text;
    for (std::size_t i = 0; i < outcome_count; ++i) {
        const Kind& kind = kinds_[i];
        if (kind.count == 0) continue;
        const auto outcome = static_cast<Outcome>(i);
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kind.count, spoken(outcome));
        if (outcome != Outcome::ok) text += fmt::format(" ({})", names(kind.hosts, kind.count));
    }
    return text;
}

}  // namespace ctrlexec
