// Usage: maintain [--all]
// One round of what ctrl-exec-api and pairing-mode do in the background, for cron and timers: the
// dispatcher's own certificate is rotated when it is due, and agents' certificates with less than half of
// cert_days left are renewed. HOST, STATUS, CERT EXPIRY, DAYS LEFT of every registered agent. Exit 1 when one
// that was due could not be renewed; of old agents, which cannot renew, only from cert_renewal_days on.
#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/timestamp.h"
#include "net/dispatch.h"
#include "net/renewal.h"
#include "net/rotation.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

bool is_alarming(const RenewalResult& renewal, int threshold, std::int64_t now) {
    if (renewal.outcome == RenewalResult::Outcome::failed) return true;
    const auto days = days_until(renewal.expiry, now);
    return renewal.outcome == RenewalResult::Outcome::cannot && (!days || *days < threshold);
}

void print_table(const Invocation& call, const std::vector<RenewalResult>& renewals, std::int64_t now) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& r : renewals)
        rows.push_back({r.host, std::string(r.word()), r.expiry, days_text(days_until(r.expiry, now))});
    print_out(format_table({"HOST", "STATUS", "CERT EXPIRY", "DAYS LEFT"}, rows));
    for (const auto& r : renewals) {
        if (!r.error.empty()) print_error_line(fmt::format("{}: {}: {}", call.program, r.host, r.error));
    }
}

void print_json(const std::vector<RenewalResult>& renewals, bool good, std::int64_t now) {
    json::Array agents;
    for (const auto& renewal : renewals) agents.push_back(renewal.to_json(now));
    print_out(json::dump(json::Object{{"ok", good ? 1 : 0}, {"agents", std::move(agents)}}) + "\n");
}

}  // namespace

int dispatcher_maintain(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    Runtime runtime;
    auto dispatch = Dispatch::create(runtime, *config, Dispatch::Connections::one_each);
    if (!dispatch) return report(call, dispatch.error());
    const Renewals renewals(runtime, *config, std::make_shared<const Dispatch>(std::move(*dispatch)));
    const RenewWhich which = call.has("--all") ? RenewWhich::all : RenewWhich::due;
    Result<std::vector<RenewalResult>> done = fail(Errc::cancelled, "interrupted");
    const int ended = runtime.run([&]() -> asio::awaitable<int> {
        co_await continue_rotation(runtime, *config);
        done = co_await renewals.round(which);
        co_return 0;
    });
    if (!done) return report(call, done.error());
    const std::int64_t now = now_seconds();
    bool good = ended == 0;
    for (const auto& renewal : *done) good = good && !is_alarming(renewal, config->cert_renewal_days, now);
    if (call.has("--json")) {
        print_json(*done, good, now);
    } else {
        print_table(call, *done, now);
    }
    return good ? 0 : 1;
}

}  // namespace ctrlexec
