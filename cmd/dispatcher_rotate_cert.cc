// Usage: rotate-cert [--force] [--continue]
// A new key and certificate for the dispatcher, announced to all agents before they are used. Continues a
// rotation that is under way.
#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/json.h"
#include "net/rotation.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

json::Value to_json(const RotationReport::Names& names) {
    json::Array array;
    for (const auto& [name, why] : names) array.push_back(json::Object{{"hostname", name}, {"reason", why}});
    return json::Value(std::move(array));
}

void print_json(const RotationReport& report) {
    print_out(json::dump(json::Object{{"ok", report.pending.empty() ? 1 : 0},
                                      {"switched", report.switched},
                                      {"serial", report.serial},
                                      {"expiry", report.expiry},
                                      {"pending_serial", report.pending},
                                      {"confirmed", report.confirmed},
                                      {"unreachable", to_json(report.unreachable)},
                                      {"refused", to_json(report.refused)}}) +
              "\n");
}

void print_names(const char* what, const RotationReport::Names& names) {
    for (const auto& [name, why] : names) print_error_line(fmt::format("{}: {}: {}", name, what, why));
}

void print_text(const RotationReport& report) {
    if (report.switched) {
        print_out(
            fmt::format("Certificate rotated: serial {}, valid until {}.\n", report.serial, report.expiry));
        print_out(fmt::format("Agents that trust it: {}. Not told yet: {}.\n", report.confirmed,
                              report.unreachable.size() + report.refused.size()));
    } else if (report.pending.empty()) {
        print_out(fmt::format("Nothing to switch to: serial {} stays, valid until {}.\n", report.serial,
                              report.expiry));
    } else {
        print_out(fmt::format("Not switched yet: serial {} is staged and announced, {} stays in use.\n",
                              report.pending, report.serial));
        print_out("Run it again, or with --force to switch although agents refuse.\n");
    }
    print_names("not told yet", report.unreachable);
    print_names("refused", report.refused);
}

}  // namespace

int dispatcher_rotate_cert(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto condition = call.has("--force") ? RotationSwitch::always : RotationSwitch::when_all_confirmed;
    const auto start = call.has("--continue") ? RotationStart::no : RotationStart::yes;
    Runtime runtime;
    Result<RotationReport> done = RotationReport();
    runtime.run([&]() -> asio::awaitable<int> {
        done = co_await rotate_certificate(runtime, *config, start, condition);
        co_return 0;
    });
    if (!done) return report(call, done.error());
    if (call.has("--json")) {
        print_json(*done);
    } else {
        print_text(*done);
    }
    return done->pending.empty() ? 0 : 1;
}

}  // namespace ctrlexec
