// Usage: healthcheck [--ready] [dispatcher|agent]
// For the health check of a container, whose only tool this binary may be: exit 0 when the server here
// answers, else 1 and why. An agent that waits to be paired is healthy, but not ready.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "cmd/agent_health.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/dispatcher_config.h"
#include "core/file.h"
#include "core/log.h"
#include "core/target.h"
#include "core/trusted_dispatchers.h"
#include "core/utf8.h"
#include "net/agent_control.h"
#include "net/local_probe.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::seconds timeout{4};  // engines give 30 s, compose files less

Result<std::string> find_role(const Invocation& call) {
    const char* variable = std::getenv("ROLE");
    const std::string role = !call.operands.empty() ? call.operands[0]
                             : variable != nullptr  ? std::string(variable)
                                                    : std::string();
    if (role == "dispatcher" || role == "agent") return role;
    if (!role.empty())
        return fail(Errc::usage,
                    fmt::format("no such role: '{}'; it is dispatcher or agent", printable(role)));
    const bool agent = file_exists(default_agent_config);
    if (agent != file_exists(default_dispatcher_config)) return std::string(agent ? "agent" : "dispatcher");
    return fail(Errc::usage, "which role? Say dispatcher or agent, or set ROLE");
}

// `ready`: it also takes work.
Result<std::string> check_dispatcher(const DispatcherConfig& config, bool ready) {
    if (config.api_port == 0)
        return fail(Errc::config, "api_port is 0: which one ctrl-exec-api took is not known");
    LocalProbe question;
    question.host = own_address(config.api_bind);
    question.port = config.api_port;
    question.tls = !config.api_cert.empty();
    question.target = ready ? "/readyz" : "/livez";
    question.timeout = timeout;
    const std::string where = host_port(question.host, question.port);
    Runtime runtime;
    Result<HttpMessage> answer = fail(Errc::internal, "no answer");
    runtime.run([&]() -> asio::awaitable<int> {
        answer = co_await probe(runtime, std::move(question));
        co_return 0;
    });
    if (!answer) return std::move(answer).error();
    if (answer->status != 200) {
        return fail(Errc::busy, fmt::format("the API at {} answered {}: {}", where, answer->status,
                                            printable(answer->body.substr(0, 200))));
    }
    return fmt::format("the API at {} answers", where);
}

Result<std::string> check_paired_agent(const AgentConfig& config) {
    const auto pinged = ping_self(config, timeout);
    if (pinged)
        return fmt::format("the agent at {} answers", host_port(own_address(config.bind), config.port));
    if (pinged.error().code != Errc::config) return pinged.error();
    // Its port is not for us, or not known: then it is enough that its loop turns.
    TRY_DO(order_agent(config.path, AgentOrder::ping));
    return std::string("the agent answers on its control socket");
}

Result<std::string> check_agent(const AgentConfig& config, bool ready) {
    if (!file_exists(config.cert)) {
        if (ready) return fail(Errc::config, fmt::format("not paired: {} is not there", config.cert));
        return std::string("waits to be paired");
    }
    if (ready) {
        TRY(const auto trusted, TrustedDispatchers::load(config.dispatcher_serial_path));
        if (trusted.empty()) return fail(Errc::config, "no dispatcher is trusted; pair this agent again");
    }
    return check_paired_agent(config);
}

int tell(const Result<std::string>& health, bool ready) {
    const std::string word = ready ? "ready" : "healthy";
    print_out(health ? fmt::format("{}: {}\n", word, *health)
                     : fmt::format("not {}: {}\n", word, health.error().text()));
    return health ? 0 : 1;
}

template <typename Config, typename Check>
int examine(const Invocation& call, const char* default_path, Check check) {
    const auto config = Config::load(call.text("--config", default_path));
    if (!config) return report(call, config.error());
    const bool ready = call.has("--ready");
    return tell(check(*config, ready), ready);
}

}  // namespace

int container_healthcheck(const Invocation& call) {
    open_log("ctrl-exec", LogFallback::discard);
    const auto role = find_role(call);
    if (!role) return report(call, role.error());
    if (*role == "agent") return examine<AgentConfig>(call, default_agent_config, check_agent);
    return examine<DispatcherConfig>(call, default_dispatcher_config, check_dispatcher);
}

}  // namespace ctrlexec
