#include "test/fleet/plan.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <random>

#include "core/file.h"

namespace ctrlexec::fleet {
namespace {

constexpr std::uint32_t first_network = (127u << 24) | (1u << 16);  // 127.1.0.0
constexpr std::size_t hosts_in_network = 250;
constexpr std::size_t max_plan_bytes = 16u << 20;

double number(const json::Value& value, std::string_view key) {
    const json::Value* member = value.find(key);
    if (member == nullptr) return 0;
    if (const auto* integer = member->if_integer()) return static_cast<double>(*integer);
    const auto* real = member->if_double();
    return real != nullptr ? *real : -1;
}

std::int64_t integer(const json::Value& value, std::string_view key) {
    return static_cast<std::int64_t>(number(value, key));
}

std::size_t share(std::int64_t agents, double percent) {
    return static_cast<std::size_t>(std::llround(static_cast<double>(agents) * percent / 100));
}

}  // namespace

const char* conduct_name(Conduct conduct) {
    constexpr std::array<const char*, conducts> names{"healthy", "failing", "silent", "stalled", "dead"};
    return names.at(static_cast<std::size_t>(conduct));
}

std::string Plan::name_of(std::size_t agent) const {
    return fmt::format("agent-{:05}", agent + 1);
}

std::string Plan::address_of(std::size_t agent) const {
    if (!network.empty()) return fmt::format("{}.{}.2", network, agent + 1);
    const std::size_t block = agent / hosts_in_network;
    return fmt::format("127.{}.{}.{}", 1 + block / 256, block % 256, 1 + agent % hosts_in_network);
}

std::size_t Plan::agent_at(std::uint32_t address) {
    const std::uint32_t offset = address - first_network;  // below it: wraps around, and is no agent's
    const std::size_t host = offset % 256;
    if (host == 0 || host > hosts_in_network) return static_cast<std::size_t>(max_agents);
    return offset / 256 * hosts_in_network + host - 1;
}

int Plan::port_of(std::size_t agent, Conduct conduct) const {
    return conduct == Conduct::dead ? dead_port : ports[agent % ports.size()];
}

std::vector<Conduct> Plan::conduct() const {
    const auto count = static_cast<std::size_t>(agents);
    std::vector<Conduct> all(count, Conduct::healthy);
    std::size_t next = 0;
    const auto fill = [&](std::size_t how_many, Conduct conduct) {
        for (; how_many > 0 && next < count; --how_many) all[next++] = conduct;
    };
    fill(share(agents, dead), Conduct::dead);
    const std::size_t stopping = share(agents, stalled);
    fill(stopping / 2, Conduct::silent);
    fill(stopping - stopping / 2, Conduct::stalled);
    fill(share(agents, failing), Conduct::failing);
    // Not std::shuffle, which each library does in its own way.
    std::mt19937_64 random(static_cast<std::uint64_t>(seed));
    for (std::size_t i = count; i > 1; --i) std::swap(all[i - 1], all[random() % i]);
    return all;
}

Result<Plan> Plan::from_json(const json::Value& value) {
    Plan plan;
    plan.agents = integer(value, "agents");
    plan.seed = integer(value, "seed");
    plan.failing = number(value, "failing_percent");
    plan.stalled = number(value, "stalled_percent");
    plan.dead = number(value, "dead_percent");
    plan.dead_port = static_cast<int>(integer(value, "dead_port"));
    plan.network = value.text("network");
    plan.processes = value.text("mode") == "processes";
    if (const json::Value* ports = value.find("ports"); ports != nullptr && ports->if_array() != nullptr) {
        for (const auto& port : *ports->if_array())
            plan.ports.push_back(port.if_integer() != nullptr ? static_cast<int>(*port.if_integer()) : 0);
    }
    if (plan.agents < 1 || plan.agents > max_agents)
        return fail(Errc::bad_request, fmt::format("agents: 1 to {}", max_agents));
    if (!plan.network.empty() && (!plan.processes || plan.agents > max_networked))
        return fail(Errc::bad_request, fmt::format("network: at most {} processes", max_networked));
    if (plan.failing < 0 || plan.stalled < 0 || plan.dead < 0 ||
        plan.failing + plan.stalled + plan.dead > 100)
        return fail(Errc::bad_request,
                    "dead_percent, stalled_percent and failing_percent: 0 to 100 together");
    if (plan.ports.empty()) return fail(Errc::bad_request, "ports: at least one");
    return plan;
}

Result<Plan> Plan::load(const std::string& directory) {
    TRY(const std::string text, read_file(directory + "/fleet.json", max_plan_bytes));
    TRY(const json::Value value, json::parse(text, max_plan_bytes));
    return from_json(value);
}

json::Value Plan::to_json() const {
    json::Array numbers;
    for (const int port : ports) numbers.emplace_back(port);
    std::array<json::Array, conducts> names;
    const std::vector<Conduct> all = conduct();
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (all[i] != Conduct::healthy) names.at(static_cast<std::size_t>(all[i])).emplace_back(name_of(i));
    }
    json::Value value(json::Object{{"mode", processes ? "processes" : "simulated"},
                                   {"agents", agents},
                                   {"seed", seed},
                                   {"failing_percent", failing},
                                   {"stalled_percent", stalled},
                                   {"dead_percent", dead},
                                   {"ports", std::move(numbers)},
                                   {"dead_port", dead_port},
                                   {"network", network}});
    for (std::size_t i = 1; i < conducts; ++i)
        value.set(conduct_name(static_cast<Conduct>(i)), std::move(names.at(i)));
    return value;
}

}  // namespace ctrlexec::fleet
