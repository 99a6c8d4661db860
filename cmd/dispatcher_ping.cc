// Usage: ping [--output table|json|ndjson] [--progress] HOST[:PORT]...
// HOST, STATUS, RTT, CERT EXPIRY, VERSION, DAYS LEFT of each. Certificates with less than half of cert_days
// left are renewed afterwards. Exit 0 when every agent answered, else 1.
#include <map>

#include "cmd/ask_hook.h"
#include "cmd/dispatcher_context.h"
#include "cmd/ping_report.h"
#include "cmd/print.h"
#include "cmd/target_options.h"
#include "cmd/verbs.h"
#include "core/digest.h"
#include "net/dispatch.h"
#include "net/renewal.h"
#include "net/runtime.h"
#include "net/ticker.h"

namespace ctrlexec {
namespace {

// Of those that answered.
asio::awaitable<void> renew_after(Runtime& runtime, const DispatcherConfig& config,
                                  std::shared_ptr<const Dispatch> dispatch,
                                  std::vector<PingResult>& results) {
    const Renewals renewals(runtime, config, std::move(dispatch));
    std::vector<std::string> names;
    std::multimap<std::string_view, PingResult*> by_host;  // it may have answered at two ports
    for (auto& result : results) {
        if (result.ok()) names.push_back(result.host);
        by_host.emplace(result.host, &result);
    }
    const std::vector<RenewalResult> done = co_await renewals.renew_registered(std::move(names));
    for (const auto& renewal : done) {
        const auto range = by_host.equal_range(renewal.host);
        for (auto it = range.first; it != range.second; ++it) {
            PingResult& result = *it->second;
            if (renewal.outcome == RenewalResult::Outcome::renewed)
                result.expiry = result.renewed_until = renewal.expiry;
            result.renewal_error = renewal.error;
        }
    }
}

}  // namespace

int dispatcher_ping(const Invocation& call) {
    const auto format = output_format(call);
    if (!format) return report(call, format.error());
    auto chosen = choose_targets(call, call.operands);
    if (!chosen) return report(call, chosen.error());
    const DispatcherConfig& config = chosen->config;
    std::vector<Target>& targets = chosen->targets;
    auto question = hook_question(call, "ping", targets);
    if (!question) return report(call, question.error());

    Runtime runtime;
    auto created = Dispatch::create(runtime, config, Dispatch::Connections::one_each);
    if (!created) return report(call, created.error());
    const auto dispatch = std::make_shared<const Dispatch>(std::move(*created));
    if (const auto refused = refused_by_hook(runtime, *dispatch, call, std::move(*question))) return *refused;
    PingReport shown(call, *format, targets.size());
    std::function<void(PingResult)> on_result = [&](PingResult result) { shown.add(std::move(result)); };
    if (shown.shows_progress()) {
        std::function<void()> tick = [&] { shown.tick(); };
        tick();
        runtime.spawn(tick_forever(runtime, ProgressBar::interval, std::move(tick)));
    }
    const int done = runtime.run([&]() -> asio::awaitable<int> {
        co_await dispatch->ping(std::move(targets), new_reqid(), std::move(on_result));
        co_await renew_after(runtime, config, dispatch, shown.results());
        co_return 0;
    });
    shown.end();
    return done == 0 && shown.all_ok() ? 0 : 1;
}

}  // namespace ctrlexec
