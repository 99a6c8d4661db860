#include "cmd/agent_health.h"

#include <fmt/format.h>

#include "core/agent_identity.h"
#include "core/json.h"
#include "core/target.h"
#include "core/utf8.h"
#include "net/agent_client.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

Result<AgentCall> self_call(const AgentConfig& config, std::chrono::seconds timeout) {
    if (config.port == 0)
        return fail(Errc::config, "the configured port is 0: which one serve took is not known");
    AgentCall call;
    call.address.host = own_address(config.bind);
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

Result<HttpMessage> exchange(const AgentConfig& config, std::chrono::seconds timeout) {
    TRY(AgentCall call, self_call(config, timeout));
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

}  // namespace

Result<void> ping_self(const AgentConfig& config, std::chrono::seconds timeout) {
    TRY(const HttpMessage answer, exchange(config, timeout));
    const auto body = json::parse(answer.body, 64 * 1024);
    const std::string error = body ? body->scalar("error") : std::string();
    // Our own certificate is no dispatcher's: being told so is health.
    if (answer.status == 200 || (answer.status == 403 && error == "serial mismatch")) return success();
    return fail(Errc::bad_answer, fmt::format("the agent answered {}{}{}", answer.status,
                                              error.empty() ? "" : ": ", printable(error)));
}

}  // namespace ctrlexec
