// Usage: list-agents
// HOSTNAME, IP, PAIRED, CERT EXPIRY, DAYS LEFT, TRUST of every registered agent.
#include <fmt/format.h>

#include <algorithm>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/registry.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

json::Value with_days(const AgentRecord& agent, std::int64_t now) {
    json::Value object = agent.to_json();
    object.set("trust", agent.trust_text());
    if (const auto days = agent.days_left(now)) object.set("days_left", *days);
    return object;
}

}  // namespace

int dispatcher_list_agents(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto listing = Registry(config->agents_dir()).list();
    if (!listing) return report(call, listing.error());
    const std::int64_t now = now_seconds();
    if (call.has("--json")) {
        json::Array agents;
        for (const auto& agent : listing->agents) agents.push_back(with_days(agent, now));
        const int ok = listing->problems.empty() ? 1 : 0;
        print_out(json::dump(json::Object{{"ok", ok}, {"agents", std::move(agents)}}) + "\n");
    } else {
        std::vector<std::vector<std::string>> rows;
        for (const auto& agent : listing->agents)
            rows.push_back({agent.hostname, agent.ip, agent.paired, agent.expiry,
                            days_text(agent.days_left(now)), std::string(agent.trust_text())});
        print_out(format_table({"HOSTNAME", "IP", "PAIRED", "CERT EXPIRY", "DAYS LEFT", "TRUST"}, rows));
        if (std::ranges::any_of(listing->agents,
                                [](const AgentRecord& agent) { return agent.trust_text() == "legacy"; }))
            print_error_line(
                "legacy: paired with the first protocol; the dispatcher was not authenticated to the agent, "
                "see docs/trust.md");
    }
    for (const auto& problem : listing->problems)
        print_error_line(fmt::format("{}: {}", call.program, problem));
    return listing->problems.empty() ? 0 : 1;
}

}  // namespace ctrlexec
