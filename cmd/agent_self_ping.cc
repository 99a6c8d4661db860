// Usage: self-ping
// Mutual TLS to the agent that serves here, as a dispatcher does it: "Healthy: …" and exit 0, or "Not
// healthy. Reason: …" and exit 1. Being told that this certificate is no dispatcher's is health too.
#include <fmt/format.h>

#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/agent_identity.h"
#include "core/json.h"
#include "core/log.h"
#include "core/target.h"
#include "core/utf8.h"
#include "net/agent_client.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::seconds timeout{10};

// Where this agent can be reached from its own host.
std::string own_address(const AgentConfig& config) {
    if (config.bind.empty() || config.bind == "0.0.0.0") return "127.0.0.1";
    return config.bind == "::" ? "::1" : config.bind;
}

Result<AgentCall> self_call(const AgentConfig& config) {
    if (config.port == 0)
        return fail(Errc::config, "the configured port is 0: which one serve took is not known");
    AgentCall call;
    call.address.host = own_address(config);
    call.address.port = config.port;
    call.method = "POST";
    call.target = "/ping";
    call.body = json::dump(json::Object{{"reqid", ""}});
    call.connect_timeout = timeout;
    call.read_timeout = timeout;
    if (!config.allowed_ips.empty() && !config.allowed_ips.contains(call.address.host)) {
        return fail(Errc::config, fmt::format("allowed_ips does not hold {}; add it", call.address.host));
    }
    return call;
}

Result<HttpMessage> exchange(const AgentConfig& config) {
    TRY(AgentCall call, self_call(config));
    TRY(const Identity identity, load_agent_identity(config));
    TRY(const auto tls, TlsContext::create(TlsContext::Role::client, identity));
    Runtime runtime;
    Result<HttpMessage> answer = fail(Errc::internal, "no answer");
    runtime.run([&]() -> asio::awaitable<int> {
        answer = co_await call_agent(runtime, tls, std::move(call));
        co_return 0;
    });
    return answer;
}

Result<void> judge(const HttpMessage& answer) {
    const auto body = json::parse(answer.body, 64 * 1024);
    const std::string error = body ? body->scalar("error") : std::string();
    if (answer.status == 200 || (answer.status == 403 && error == "serial mismatch")) return success();
    return fail(Errc::bad_answer, fmt::format("the agent answered {}{}{}", answer.status,
                                              error.empty() ? "" : ": ", printable(error)));
}

}  // namespace

int agent_self_ping(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    const auto config = AgentConfig::load(call.text("--config", default_agent_config));
    if (!config) return report(call, config.error());
    const auto answer = exchange(*config);
    const auto healthy = answer ? judge(*answer) : Result<void>(answer.error());
    if (!healthy) {
        print_out(fmt::format("Not healthy. Reason: {}\n", healthy.error().text()));
        return 1;
    }
    print_out(fmt::format("Healthy: {} answers\n", host_port(own_address(*config), config->port)));
    return 0;
}

}  // namespace ctrlexec
