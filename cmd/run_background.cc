#include <fmt/format.h>

#include <cstdio>

#include "cmd/output_format.h"
#include "cmd/print.h"
#include "cmd/run_options.h"
#include "core/utf8.h"
#include "net/async_runs.h"

namespace ctrlexec {
namespace {

using Begun = Result<AsyncRuns::Submission>;

}  // namespace

int run_in_background(Runtime& runtime, PlannedRun plan) {
    const Invocation& call = plan.call;
    const bool as_json = wants_json(call);
    const AsyncRuns runs(runtime, plan.dispatch, plan.config);
    Begun begun = fail(Errc::internal, "not begun");
    runtime.run([&]() -> asio::awaitable<int> {
        begun = co_await runs.begin(std::move(plan.targets), plan.request);
        co_return 0;
    });
    if (!begun) return report(call, begun.error());
    // Before any agent is asked: whoever ends us now must know what he has begun.
    if (!as_json) {
        print_out(plan.request->reqid + "\n");
        std::fflush(stdout);
    }
    RunSummary problems;
    json::Array results;
    std::function<void(const RunResult&)> on_problem = [&](const RunResult& result) {
        problems.add(result);
        results.push_back(result.to_json());
        print_error_line(fmt::format("{}: {}: {}: {}", call.program, printable(result.host),
                                     spoken(result.outcome()), printable(result.error)));
    };
    runtime.run([&]() -> asio::awaitable<int> {
        co_await runs.submit(std::move(*begun), plan.request, std::move(on_problem));
        co_return 0;
    });
    if (as_json) {
        print_out(json::dump(json::Object{
                      {"ok", 1}, {"reqid", plan.request->reqid}, {"results", std::move(results)}}) +
                  "\n");
    }
    return problems.exit_code();
}

}  // namespace ctrlexec
