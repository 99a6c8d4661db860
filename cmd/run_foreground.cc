#include <fmt/format.h>

#include "cmd/follow_output.h"
#include "cmd/print.h"
#include "cmd/run_options.h"
#include "cmd/run_output.h"
#include "net/interrupts.h"

namespace ctrlexec {
namespace {

constexpr int exit_interrupted = 130;

}  // namespace

int run_in_foreground(Runtime& runtime, PlannedRun plan) {
    const std::string program = plan.call.program;
    const bool as_json = plan.call.has("--json");
    RunSummary summary;
    json::Array results;
    RunOutput human;
    FollowOutput live;
    std::function<void(const RunResult&)> on_result = [&](const RunResult& result) {
        summary.add(result);
        if (as_json) {
            results.push_back(result.to_json());
        } else if (live.finish(result.host)) {
            human.print_end(result);
        } else {
            human.print(result);
        }
    };
    OnOutput on_output;
    if (plan.options.follow)
        on_output = [&](const std::string& host, const FollowLine& line) { live.add(host, line); };
    std::function<void(std::string)> say = [&](const std::string& words) {
        print_error_line(fmt::format("{}: {}", program, words));
    };
    const auto runs = std::make_shared<const AsyncRuns>(runtime, plan.dispatch, plan.config);
    bool interrupted = false;
    runtime.run([&]() -> asio::awaitable<int> {
        interrupted = co_await run_interruptibly(runtime, runs, plan.dispatch, std::move(plan.targets),
                                                 plan.request, std::move(plan.locks), std::move(on_result),
                                                 std::move(on_output), std::move(say));
        co_return 0;
    });
    if (as_json) {
        print_out(json::dump(json::Object{{"ok", 1}, {"results", std::move(results)}}) + "\n");
    } else if (summary.total() > 1 && !summary.all_ok()) {
        print_error_line(fmt::format("{}: {}", program, summary.line()));
    }
    return interrupted ? exit_interrupted : summary.exit_code(plan.options.enough);
}

}  // namespace ctrlexec
