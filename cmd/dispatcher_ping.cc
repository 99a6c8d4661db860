// Usage: ping [--output table|json|ndjson] HOST[:PORT]...
// HOST, STATUS, RTT, CERT EXPIRY, VERSION, DAYS LEFT of each. Certificates with less than half of cert_days
// left are renewed afterwards. Exit 0 when every agent answered, else 1.
#include <fmt/format.h>

#include <cstdio>
#include <map>

#include "cmd/ask_hook.h"
#include "cmd/dispatcher_context.h"
#include "cmd/output_format.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/digest.h"
#include "core/timestamp.h"
#include "net/dispatch.h"
#include "net/renewal.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

void print_renewal_errors(const Invocation& call, const PingResult& r) {
    if (r.renewal_error.empty()) return;
    print_error_line(
        fmt::format("{}: {}: certificate not renewed: {}", call.program, r.host, r.renewal_error));
}

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
        if (!r.ok()) print_error_line(fmt::format("{}: {}: {}", call.program, r.host, r.error));
        print_renewal_errors(call, r);
    }
}

void print_document(const std::vector<PingResult>& results) {
    json::Array array;
    for (const auto& result : results) array.push_back(result.to_json());
    print_out(json::dump(json::Object{{"ok", 1}, {"results", std::move(array)}}) + "\n");
}

void print_line(const PingResult& result) {
    print_out(json::dump(result.to_json()) + "\n");
    std::fflush(stdout);
}

// The lines were printed before anything was renewed.
void print_after_lines(const Invocation& call, const std::vector<PingResult>& results) {
    for (const auto& r : results) {
        if (!r.renewed_until.empty())
            print_error_line(fmt::format("{}: {}: certificate renewed, valid until {}", call.program, r.host,
                                         r.renewed_until));
        print_renewal_errors(call, r);
    }
}

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
        if (*format == OutputFormat::ndjson) print_line(result);
        results.push_back(std::move(result));
    };
    const int done = runtime.run([&]() -> asio::awaitable<int> {
        co_await dispatch->ping(std::move(*targets), new_reqid(), std::move(on_result));
        co_await renew_after(runtime, *config, dispatch, results);
        co_return 0;
    });
    if (*format == OutputFormat::table) print_table(call, results);
    if (*format == OutputFormat::json) print_document(results);
    if (*format == OutputFormat::ndjson) print_after_lines(call, results);
    return done == 0 && all_ok ? 0 : 1;
}

}  // namespace ctrlexec
