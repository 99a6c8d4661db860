// Usage: run [--timeout DURATION] [--min-success N|P%] [--follow] [--async] HOST[:PORT]... SCRIPT [-- ARG...]
// Runs the script on all hosts at the same time. The exit codes are those of core/run_summary.h. With --async
// it prints the run's id, which status, wait and cancel take, and exits when all agents have accepted it.
#include <fmt/format.h>

#include "cmd/ask_hook.h"
#include "cmd/dispatcher_context.h"
#include "cmd/output_format.h"
#include "cmd/print.h"
#include "cmd/run_options.h"
#include "cmd/run_preview.h"
#include "cmd/target_options.h"
#include "cmd/verbs.h"
#include "core/allowlist.h"
#include "core/digest.h"
#include "core/log.h"
#include "core/utf8.h"
#include "net/dispatch.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

Result<RunRequest> make_request(const Invocation& call) {
    RunRequest request;
    request.script = call.operands.back();
    if (!is_valid_script_name(request.script)) {
        return fail(Errc::usage, fmt::format("'{}' is no script name: letters, digits, '_' and '-' only",
                                             printable(request.script)));
    }
    request.arguments = call.passed;
    for (const auto& argument : request.arguments) {
        if (!is_utf8(argument))
            return fail(Errc::usage, fmt::format("argument '{}' is not UTF-8", printable(argument)));
    }
    request.reqid = new_reqid();
    request.username = to_utf8(username_of(call));
    TRY(request.token, token_of(call));
    if (!is_utf8(request.token)) return fail(Errc::usage, "the token is not UTF-8");
    return request;
}

int report_conflicts(const Invocation& call, const std::vector<std::string>& conflicts) {
    if (wants_json(call)) {
        print_out(json::dump(json::Object{
                      {"ok", 0}, {"error", "locked"}, {"code", 4}, {"conflicts", json::strings(conflicts)}}) +
                  "\n");
    }
    print_error_line(
        fmt::format("{}: already running, nothing was started: {}", call.program, fmt::join(conflicts, " ")));
    return 1;
}

// Ports as they were named.
void log_dispatch(const RunRequest& request, const std::vector<Target>& targets, int default_port) {
    std::string hosts;
    for (const auto& [host, port] : targets)
        hosts += (hosts.empty() ? "" : ",") + (port == default_port ? host : host_port(host, port));
    log_event(LogLevel::info, "dispatch",
              {{"HOSTS", std::move(hosts)},
               {"REQID", request.reqid},
               {"SCRIPT", request.script},
               {"USER", request.username}});
}

}  // namespace

int dispatcher_run(const Invocation& call) {
    const auto selection = selection_of(call, std::span(call.operands.data(), call.operands.size() - 1));
    if (!selection) return report(call, selection.error());
    auto options = run_options(call);
    if (!options) return report(call, options.error());
    auto made = make_request(call);
    if (!made) return report(call, made.error());
    made->timeout = options->timeout;
    const auto request = std::make_shared<const RunRequest>(std::move(*made));
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    auto targets = find_targets(call, *config, *selection);
    if (!targets) return report(call, targets.error());
    const auto shares = add_shares(call, targets->size(), *options);
    if (!shares) return report(call, shares.error());
    if (call.has("--dry-run")) return print_preview(call, *config, *options, *request, *targets);
    const auto wanted = confirm_run(call, *config, *request, targets->size());
    if (!wanted) return report(call, wanted.error());

    Runtime runtime;
    auto dispatch = Dispatch::create(runtime, *config, Dispatch::Connections::one_each);
    if (!dispatch) return report(call, dispatch.error());
    log_dispatch(*request, *targets, selection->default_port);
    auto question = hook_question(call, "run", *targets);
    if (!question) return report(call, question.error());
    question->script = request->script;
    question->arguments = request->arguments;
    if (const auto refused = refused_by_hook(runtime, *dispatch, call, std::move(*question))) return *refused;
    Result<LockAttempt> locks = LockAttempt();
    runtime.run([&]() -> asio::awaitable<int> {
        const auto use = options->background ? Dispatch::LockUse::look : Dispatch::LockUse::hold;
        locks = co_await dispatch->lock(*targets, request, use);
        co_return 0;
    });
    if (!locks) return report(call, locks.error());
    if (!locks->conflicts.empty()) return report_conflicts(call, locks->conflicts);
    PlannedRun plan{call,
                    std::move(*options),
                    *config,
                    std::make_shared<const Dispatch>(std::move(*dispatch)),
                    std::move(*targets),
                    request,
                    std::move(locks->held)};
    return plan.options.background ? run_in_background(runtime, std::move(plan))
                                   : run_in_foreground(runtime, std::move(plan));
}

}  // namespace ctrlexec
