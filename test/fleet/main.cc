// Usage: ctrl-exec-fleet make CTRL-EXEC.CONF DIR PLAN
//        ctrl-exec-fleet simulate DIR [--share N] [--canned] [--latency MS] [--connect-latency MS]
//        ctrl-exec-fleet measure TIMES OUTPUT COMMAND...
// PLAN is JSON:
// {"mode":"simulated","agents":100,"seed":1,"failing_percent":0,"stalled_percent":0,"dead_percent":0,
// "ports":[20000],"dead_port":20001}. `make` prints it with the names of the agents that are not healthy.
// `simulate` serves until SIGTERM. test/system/fleet.py starts both; `./dev fleet` is for hands.
#include <fmt/format.h>

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config_file.h"
#include "core/log.h"
#include "core/open_files.h"
#include "test/fleet/make_fleet.h"
#include "test/fleet/measure.h"
#include "test/fleet/simulator.h"

namespace ctrlexec::fleet {
namespace {

constexpr std::size_t max_plan_bytes = 64 * 1024;

int complain(const Error& error) {
    fmt::print(stderr, "ctrl-exec-fleet: {}\n", error.text());
    return info(error.code).exit_code;
}

int make(const std::vector<std::string>& words) {
    const auto value = json::parse(words[3], max_plan_bytes);
    if (!value) return complain(value.error());
    const auto plan = Plan::from_json(*value);
    if (!plan) return complain(plan.error());
    if (const auto made = make_fleet(words[1], words[2], *plan); !made) return complain(made.error());
    fmt::print("{}\n", json::dump(plan->to_json()));
    return 0;
}

std::optional<SimulatorOptions> simulator_options(const std::vector<std::string>& words) {
    SimulatorOptions options;
    options.directory = words[1];
    for (std::size_t i = 2; i < words.size(); ++i) {
        if (words[i] == "--canned") {
            options.canned = true;
            continue;
        }
        std::int64_t number = 0;
        if (i + 1 == words.size() || !parse_integer(words[i + 1], 0, 3'600'000, number)) return std::nullopt;
        const std::string& option = words[i++];
        if (option == "--share") {
            options.share = static_cast<std::size_t>(number);
        } else if (option == "--latency") {
            options.latency = std::chrono::milliseconds(number);
        } else if (option == "--connect-latency") {
            options.connect_latency = std::chrono::milliseconds(number);
        } else {
            return std::nullopt;
        }
    }
    return options;
}

int simulate(SimulatorOptions options) {
    open_log("ctrl-exec-fleet", LogFallback::discard);
    raise_open_file_limit();
    Runtime runtime;
    auto simulator = Simulator::create(runtime, std::move(options));
    if (!simulator) return complain(simulator.error());
    fmt::print("{} agents, listening on {}\n", (*simulator)->agents(), (*simulator)->address());
    std::fflush(stdout);
    return runtime.run([&] { return (*simulator)->serve(); });
}

int run(const std::vector<std::string>& words) {
    if (words.size() == 4 && words[0] == "make") return make(words);
    if (words.size() >= 2 && words[0] == "simulate") {
        if (auto options = simulator_options(words)) return simulate(std::move(*options));
    }
    std::int64_t times = 0;
    if (words.size() >= 4 && words[0] == "measure" && parse_integer(words[1], 1, 1'000'000, times)) {
        const std::vector<std::string> command(words.begin() + 3, words.end());
        return measure(static_cast<int>(times), words[2], command);
    }
    fmt::print(
        stderr,
        "Usage: ctrl-exec-fleet make CTRL-EXEC.CONF DIR PLAN\n"
        "       ctrl-exec-fleet simulate DIR [--share N] [--canned] [--latency MS] [--connect-latency MS]\n"
        "       ctrl-exec-fleet measure TIMES OUTPUT COMMAND...\n");
    return 64;
}

}  // namespace
}  // namespace ctrlexec::fleet

int main(int argc, char** argv) {
    return ctrlexec::fleet::run(std::vector<std::string>(argv + 1, argv + argc));
}
