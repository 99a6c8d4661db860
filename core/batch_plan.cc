#include "core/batch_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/config_file.h"

namespace ctrlexec {
namespace {

constexpr std::int64_t max_hosts = 1'000'000;

enum class Round : std::uint8_t { up, down };

// "N", at least `low`, or "P%" of the hosts.
Result<std::size_t> parse_share(std::string_view option, std::string_view text, std::int64_t low,
                                std::size_t hosts, Round round) {
    const bool percent = text.ends_with('%');
    std::int64_t number = 0;
    if (!parse_integer(text.substr(0, text.size() - (percent ? 1 : 0)), low, percent ? 100 : max_hosts,
                       number)) {
        return fail(Errc::usage, fmt::format("{0} must be a number of hosts, {1} to {2}, or {1}% to 100%",
                                             option, low, max_hosts));
    }
    const auto share = static_cast<std::size_t>(number);
    return percent ? (hosts * share + (round == Round::up ? 99 : 0)) / 100 : share;
}

}  // namespace

Result<BatchPlan> BatchPlan::parse(const BatchWords& words, std::size_t hosts) {
    BatchPlan plan;
    TRY(plan.size_, parse_share("--batch", words.size, 1, hosts, Round::up));
    plan.size_ = std::max<std::size_t>(plan.size_, 1);
    if (!words.max_failures.empty()) {
        TRY(plan.max_failures_, parse_share("--max-failures", words.max_failures, 0, hosts, Round::down));
    }
    std::int64_t canary = 1;
    if (!words.canary.empty() && !parse_integer(words.canary, 0, max_hosts, canary))
        return fail(Errc::usage, fmt::format("--canary must be 0 to {}", max_hosts));
    plan.canary_ = static_cast<std::size_t>(canary);
    plan.pause_ = words.pause;
    return plan;
}

std::size_t BatchPlan::next(std::size_t begun, std::size_t left) const {
    if (size_ == 0) return left;
    return std::min(begun == 0 && canary_ > 0 ? canary_ : size_, left);
}

std::string BatchPlan::objection(std::size_t begun, std::size_t failed) const {
    if (size_ == 0 || failed == 0) return {};
    if (begun <= canary_) return "the canary did not go well";
    if (failed <= max_failures_) return {};
    return fmt::format("{} of the hosts before did not go well, --max-failures is {}", failed, max_failures_);
}

RunResult not_started(std::string host, const RunRequest& request, std::string why) {
    RunResult result;
    result.host = std::move(host);
    result.script = request.script;
    result.reqid = request.reqid;
    result.rtt = "0ms";
    result.error = "not started: " + std::move(why);
    result.skipped = true;
    return result;
}

}  // namespace ctrlexec
