// Usage: revoke NAME|SERIAL [--push]
// Puts a certificate on the list of those that the dispatcher talks to no more; with --push also on the lists
// of the agents.
#include <fmt/format.h>

#include <algorithm>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/revoke.h"
#include "cmd/verbs.h"
#include "core/digest.h"
#include "core/json.h"
#include "net/dispatch.h"
#include "net/fan_out.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

struct Pushed {
    std::string host, error;
};

json::Value revocation_body(const std::string& serial) {
    return json::Value(json::Object{{"serials", json::strings({serial})}, {"reqid", new_reqid()}});
}

asio::awaitable<void> push_to(const Dispatch& dispatch, std::string host, std::string serial,
                              std::vector<Pushed>& results) {
    Target target;
    target.host = host;
    json::Value body = revocation_body(serial);
    const auto answer = co_await dispatch.ask(std::move(target), "/revoke", std::move(body));
    Pushed pushed;
    pushed.host = std::move(host);
    if (!answer) pushed.error = answer.error().text();
    if (!answer && answer.error().code == Errc::not_found)
        pushed.error = "an old agent, which takes no list: add the serial to its revoked-serials by hand";
    results.push_back(std::move(pushed));
}

Result<std::vector<Pushed>> push(const DispatcherConfig& config, const std::string& serial) {
    TRY(const RegistryListing listing, Registry(config.agents_dir()).list());
    Runtime runtime;
    TRY(const Dispatch dispatch, Dispatch::create(runtime, config, Dispatch::Connections::one_each));
    std::vector<Pushed> results;
    std::function<asio::awaitable<void>(std::size_t)> one = [&](std::size_t i) {
        return push_to(dispatch, listing.agents[i].hostname, serial, results);
    };
    runtime.run([&]() -> asio::awaitable<int> {
        co_await fan_out(runtime, listing.agents.size(), static_cast<std::size_t>(config.max_parallel), one);
        co_return 0;
    });
    std::sort(results.begin(), results.end(),
              [](const Pushed& a, const Pushed& b) { return a.host < b.host; });
    return results;
}

int print(const Invocation& call, const Revoked& revoked, const std::vector<Pushed>& pushed) {
    const bool all_told =
        std::all_of(pushed.begin(), pushed.end(), [](const Pushed& p) { return p.error.empty(); });
    if (call.has("--json")) {
        json::Object result{
            {"ok", all_told ? 1 : 0}, {"serial", revoked.serial}, {"changed", revoked.changed}};
        if (call.has("--push")) {
            json::Array agents;
            for (const auto& each : pushed) {
                json::Object agent{{"hostname", each.host}, {"ok", each.error.empty()}};
                if (!each.error.empty()) agent.push_back({"error", each.error});
                agents.push_back(std::move(agent));
            }
            result.push_back({"agents", std::move(agents)});
        }
        print_out(json::dump(json::Value(std::move(result))) + "\n");
        return all_told ? 0 : 1;
    }
    print_out(
        fmt::format("{}: serial {}\n", revoked.changed ? "Revoked" : "Revoked already", revoked.serial));
    for (const auto& each : pushed) {
        if (each.error.empty()) print_out(fmt::format("Told: {}\n", each.host));
    }
    for (const auto& each : pushed) {
        if (!each.error.empty())
            print_error_line(fmt::format("{}: {}: not told: {}", call.program, each.host, each.error));
    }
    return all_told ? 0 : 1;
}

}  // namespace

int dispatcher_revoke(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto revoked = revoke_certificate(*config, call.operands[0]);
    if (!revoked) return report(call, revoked.error());
    std::vector<Pushed> pushed;
    if (call.has("--push")) {
        auto results = push(*config, revoked->serial);
        if (!results) return report(call, results.error());
        pushed = std::move(*results);
    }
    return print(call, *revoked, pushed);
}

}  // namespace ctrlexec
