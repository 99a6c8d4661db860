// Usage: wait REQID [--timeout DURATION] [--follow]
// Waits for the results of a run of `run --async`, and prints each as it comes. Exit 0 when it went well on
// every host, 1 when something went wrong, 2 when the time is over and there is no result of some host.
#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/follow_output.h"
#include "cmd/print.h"
#include "cmd/run_options.h"
#include "cmd/run_output.h"
#include "cmd/verbs.h"
#include "cmd/watched_output.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

void say_pending(const Invocation& call, const WatchedRun& watched) {
    for (std::size_t i = 0; i < watched.run.hosts.size(); ++i) {
        const SubmittedHost& host = watched.run.hosts[i];
        if (host.state == SubmittedHost::State::done) continue;
        const std::string& problem = watched.notes[i].problem;
        print_error_line(fmt::format("{}: {}: still pending{}{}", call.program, printable(host.target.host),
                                     problem.empty() ? "" : ": ", printable(problem)));
    }
}

}  // namespace

int dispatcher_wait(const Invocation& call) {
    const auto timeout = duration_option(call, "--timeout");
    if (!timeout) return report(call, timeout.error());
    const auto follow = follow_option(call);
    if (!follow) return report(call, follow.error());
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    Runtime runtime;
    auto dispatch = Dispatch::create(runtime, *config, Dispatch::Connections::one_each);
    if (!dispatch) return report(call, dispatch.error());
    const AsyncRuns runs(runtime, std::make_shared<const Dispatch>(std::move(*dispatch)), *config);
    const auto found = find_run(runtime, runs, *config, call.operands[0]);
    if (!found) return report(call, found.error());
    const bool as_json = call.has("--json");
    RunOutput human;
    FollowOutput live;
    const auto show = [&](const RunResult& result) {
        if (as_json) return;
        if (live.finish(result.host)) {
            human.print_end(result);
        } else {
            human.print(result);
        }
    };
    for (const auto& result : results_of(*found)) show(result);
    if (found->watched) {
        found->watched->on_result = show;
        if (*follow) {
            found->watched->on_output = [&](const std::string& host, const FollowLine& line) {
                human.end();
                live.add(host, line);
            };
        }
        runtime.run([&]() -> asio::awaitable<int> {
            co_await runs.wait(found->watched, timeout->value_or(std::chrono::milliseconds(0)));
            co_return 0;
        });
        say_pending(call, *found->watched);
    }
    if (as_json) print_run_json(*found);
    return exit_code_of(*found);
}

}  // namespace ctrlexec
