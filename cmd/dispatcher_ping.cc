// Usage: ping HOST[:PORT]...
// HOST, STATUS, RTT, CERT EXPIRY, VERSION, DAYS LEFT of each. Certificates with less than half of cert_days
// left are renewed afterwards. Exit 0 when every agent answered, else 1.
#include <fmt/format.h>

#include "cmd/ask_hook.h"
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/digest.h"
#include "core/timestamp.h"
#include "core/utf8.h"
#include "net/dispatch.h"
#include "net/renewal.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

void print_table(const Invocation& call, const std::vector<PingResult>& results) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& r : results)
        rows.push_back({r.host, r.ok() ? "ok" : "error", r.rtt, r.expiry, r.version,
                        days_text(r.days_left(now_seconds()))});
    print_out(format_table({"HOST", "STATUS", "RTT", "CERT EXPIRY", "VERSION", "DAYS LEFT"}, rows));
    for (const auto& r : results) {
        if (!r.renewed_until.empty())
            print_out(fmt::format("{}: certificate renewed, valid until {}\n", r.host, r.renewed_until));
    }
    for (const auto& r : results) {
        if (!r.ok()) print_error_line(fmt::format("{}: {}: {}", call.program, r.host, printable(r.error)));
        if (!r.renewal_error.empty())
            print_error_line(fmt::format("{}: {}: certificate not renewed: {}", call.program, r.host,
                                         printable(r.renewal_error)));
    }
}

// Of those that answered.
asio::awaitable<void> renew_after(Runtime& runtime, const DispatcherConfig& config,
                                  std::shared_ptr<const Dispatch> dispatch,
                                  std::vector<PingResult>& results) {
    const Renewals renewals(runtime, config, std::move(dispatch));
    std::vector<std::string> names;
    for (const auto& result : results) {
        if (result.ok()) names.push_back(result.host);
    }
    const std::vector<RenewalResult> done = co_await renewals.renew_registered(std::move(names));
    for (const auto& renewal : done) {
        for (auto& result : results) {
            if (result.host != renewal.host) continue;
            if (renewal.outcome == RenewalResult::Outcome::renewed)
                result.expiry = result.renewed_until = renewal.expiry;
            result.renewal_error = renewal.error;
        }
    }
}

}  // namespace

int dispatcher_ping(const Invocation& call) {
    const auto port = port_option(call);
    if (!port) return report(call, port.error());
    auto targets = parse_targets(call.operands, *port);
    if (!targets) return report(call, targets.error());
    auto question = hook_question(call, "ping", *targets);
    if (!question) return report(call, question.error());
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());

    Runtime runtime;
    auto created = Dispatch::create(runtime, *config, Dispatch::Connections::one_each);
    if (!created) return report(call, created.error());
    const auto dispatch = std::make_shared<const Dispatch>(std::move(*created));
    if (const auto refused = refused_by_hook(runtime, *dispatch, call, std::move(*question))) return *refused;
    bool all_ok = true;
    std::vector<PingResult> results;
    std::function<void(PingResult)> on_result = [&](PingResult result) {
        all_ok = all_ok && result.ok();
        results.push_back(std::move(result));
    };
    const int done = runtime.run([&]() -> asio::awaitable<int> {
        co_await dispatch->ping(std::move(*targets), new_reqid(), std::move(on_result));
        co_await renew_after(runtime, *config, dispatch, results);
        co_return 0;
    });
    if (call.has("--json")) {
        json::Array array;
        for (const auto& result : results) array.push_back(result.to_json());
        print_out(json::dump(json::Object{{"ok", 1}, {"results", std::move(array)}}) + "\n");
    } else {
        print_table(call, results);
    }
    return done == 0 && all_ok ? 0 : 1;
}

}  // namespace ctrlexec
