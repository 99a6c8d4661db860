#include "cmd/run_options.h"
#include "cmd/run_report.h"
#include "net/interrupts.h"
#include "net/ticker.h"

namespace ctrlexec {
namespace {

constexpr int exit_interrupted = 130;

}  // namespace

int run_in_foreground(Runtime& runtime, PlannedRun plan) {
    RunReport report(plan);
    std::function<void(RunResult)> on_result = [&](RunResult result) { report.add(std::move(result)); };
    OnOutput on_output;
    if (plan.options.follow)
        on_output = [&](const std::string& host, const FollowLine& line) { report.add_output(host, line); };
    std::function<void(std::string)> say = [&](const std::string& words) { report.say(words); };
    const auto runs = std::make_shared<const AsyncRuns>(runtime, plan.dispatch, plan.config);
    if (report.shows_progress()) {
        report.tick();
        std::function<void()> tick = [&] { report.tick(); };
        runtime.spawn(tick_forever(runtime, ProgressBar::interval, std::move(tick)));
    }
    const auto batches = std::make_shared<BatchedRun>(runtime, std::move(plan.targets), plan.options.batches,
                                                      plan.request, std::move(on_result));
    bool interrupted = false;
    runtime.run([&]() -> asio::awaitable<int> {
        interrupted = co_await run_interruptibly(runtime, runs, plan.dispatch, batches, std::move(plan.locks),
                                                 std::move(on_output), std::move(say));
        co_return 0;
    });
    report.end();
    return interrupted ? exit_interrupted : report.summary().exit_code(plan.options.enough);
}

}  // namespace ctrlexec
