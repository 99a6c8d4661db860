// Usage: status REQID
// How a run of `run --async` stands: results that are there, and who is pending. Exit 0 when it went well on
// every host, 1 when something went wrong, 2 while there is no result of some host.
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/run_output.h"
#include "cmd/verbs.h"
#include "cmd/watched_output.h"

namespace ctrlexec {

int dispatcher_status(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    Runtime runtime;
    auto dispatch = Dispatch::create(runtime, *config, Dispatch::Connections::one_each);
    if (!dispatch) return report(call, dispatch.error());
    const AsyncRuns runs(runtime, std::make_shared<const Dispatch>(std::move(*dispatch)), *config);
    const auto found = find_run(runtime, runs, *config, call.operands[0]);
    if (!found) return report(call, found.error());
    if (found->watched) {
        runtime.run([&]() -> asio::awaitable<int> {
            co_await runs.ask(found->watched);
            co_return 0;
        });
    }
    if (call.has("--json")) {
        print_run_json(*found);
    } else {
        RunOutput human;
        for (const auto& result : results_of(*found)) human.print(result);
        human.end();
        if (found->watched) print_pending(*found->watched);
    }
    return exit_code_of(*found);
}

}  // namespace ctrlexec
