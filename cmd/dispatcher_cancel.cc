// Usage: cancel REQID [HOST[:PORT]...]
// Has the script of a run ended: on the hosts where it is under way, or on those that are named. HOST, STATE
// of each. Exit 0 when every agent has ended it, is about to, or says that it has ended already.
#include <fmt/format.h>

#include "cmd/ask_hook.h"
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/pairing_queue.h"
#include "core/run_whereabouts.h"
#include "core/utf8.h"
#include "net/async_runs.h"
#include "net/fan_out.h"

namespace ctrlexec {
namespace {

Result<RunWhereabouts> what_to_cancel(const Invocation& call, const DispatcherConfig& config) {
    const std::string& reqid = call.operands[0];
    if (!is_valid_reqid(reqid))
        return fail(Errc::usage, fmt::format("'{}' is no id of a run", printable(reqid)));
    TRY(const int port, port_option(call));
    std::vector<Target> named;
    if (call.operands.size() > 1) {
        const std::span<const std::string> hosts(call.operands.data() + 1, call.operands.size() - 1);
        TRY(named, parse_targets(hosts, port));
    }
    TRY(RunWhereabouts found, find_whereabouts(config.runs_dir(), config.locks_dir(), reqid));
    if (!named.empty()) {
        found.pending = std::move(named);
        found.done.clear();
    }
    if (found.pending.empty() && found.done.empty()) {
        return fail(
            Errc::not_found,
            fmt::format("no run '{}' is under way that this dispatcher knows of; name its hosts", reqid));
    }
    return found;
}

struct Answers {
    std::vector<Result<JobState>> states;

    bool all_ended() const {
        for (const auto& state : states) {
            if (!state || state->kind == JobState::Kind::unknown || state->kind == JobState::Kind::lost)
                return false;
        }
        return true;
    }
};

void print_answers(const Invocation& call, const std::vector<Target>& targets, const Answers& answers,
                   const std::vector<std::string>& done) {
    json::Array list;
    std::vector<std::vector<std::string>> rows;
    for (const auto& host : done) {
        rows.push_back({host, "done"});
        list.emplace_back(json::Object{{"host", host}, {"state", "done"}});
    }
    for (std::size_t i = 0; i < targets.size(); ++i) {
        const Result<JobState>& state = answers.states[i];
        const std::string text = state ? std::string(word(state->kind)) : "error";
        rows.push_back({targets[i].host, text});
        json::Value item(json::Object{{"host", targets[i].host}, {"state", text}});
        if (!state) item.set("error", state.error().text());
        list.push_back(std::move(item));
    }
    if (call.has("--json")) {
        print_out(
            json::dump(json::Object{{"ok", 1}, {"reqid", call.operands[0]}, {"hosts", std::move(list)}}) +
            "\n");
        return;
    }
    print_out(format_table({"HOST", "STATE"}, rows));
    for (std::size_t i = 0; i < targets.size(); ++i) {
        if (answers.states[i]) continue;
        print_error_line(fmt::format("{}: {}: {}", call.program, printable(targets[i].host),
                                     printable(answers.states[i].error().text())));
    }
}

}  // namespace

int dispatcher_cancel(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto found = what_to_cancel(call, *config);
    if (!found) return report(call, found.error());
    const std::vector<Target>& targets = found->pending;
    Runtime runtime;
    auto created = Dispatch::create(runtime, *config, Dispatch::Connections::one_each);
    if (!created) return report(call, created.error());
    const auto dispatch = std::make_shared<const Dispatch>(std::move(*created));
    // Who may not run a script does not end it either.
    auto question = hook_question(call, "run", targets);
    if (!question) return report(call, question.error());
    question->script = found->script;
    if (const auto refused = refused_by_hook(runtime, *dispatch, call, std::move(*question))) return *refused;
    const AsyncRuns runs(runtime, dispatch, *config);
    Answers answers;
    answers.states.assign(targets.size(), fail(Errc::internal, "not asked"));
    std::function<asio::awaitable<void>(std::size_t)> one = [&](std::size_t i) -> asio::awaitable<void> {
        answers.states[i] = co_await runs.cancel(targets[i], call.operands[0]);
    };
    runtime.run([&]() -> asio::awaitable<int> {
        co_await fan_out(runtime, targets.size(), static_cast<std::size_t>(config->max_parallel),
                         std::move(one));
        co_return 0;
    });
    print_answers(call, targets, answers, found->done);
    return answers.all_ended() ? 0 : 1;
}

}  // namespace ctrlexec
