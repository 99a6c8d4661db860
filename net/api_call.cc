#include "net/api_call.h"

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "core/registry.h"
#include "core/timestamp.h"

namespace ctrlexec {

asio::awaitable<bool> ApiState::wait_for_dispatches(std::chrono::milliseconds timeout) {
    std::error_code ignored;
    count_ended.expires_after(timeout);
    while (dispatches > 0 && count_ended.expiry() > std::chrono::steady_clock::now())
        co_await count_ended.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return dispatches == 0;
}

asio::awaitable<Result<std::vector<std::string>>> registered_names(std::shared_ptr<const ApiCall> call) {
    using Names = std::vector<std::string>;
    std::function<Result<Names>()> work = [directory =
                                               call->snapshot->config.agents_dir()]() -> Result<Names> {
        TRY(const RegistryListing listing, Registry(directory).list());
        Names names;
        for (const auto& agent : listing.agents) names.push_back(agent.hostname);
        return names;
    };
    co_return co_await offload<Names>(call->state->runtime.pool(), file_timeout, std::move(work));
}

HttpAnswer api_error(int status, std::string_view error, std::string_view detail) {
    json::Object body{{"ok", false}, {"error", error}};
    if (!detail.empty()) body.push_back({"detail", detail});
    return json_answer(status, body);
}

AuthRequest api_question(const ApiCall& call, std::string action) {
    AuthRequest question;
    question.action = std::move(action);
    question.username = call.username;
    question.token = call.token;
    question.source_ip = call.source_ip;
    question.time = now_seconds();
    return question;
}

HttpAnswer api_unavailable(std::string_view why, std::string_view detail) {
    HttpAnswer answer = api_error(503, why, detail);
    answer.headers.emplace_back("Retry-After", "1");
    return answer;
}

namespace {

constexpr int max_auth_checks = 128;

HttpAnswer forbidden(std::string_view reason, int code) {
    return json_answer(403, json::Object{{"ok", false}, {"error", reason}, {"code", code}});
}

}  // namespace

asio::awaitable<std::optional<HttpAnswer>> refused_by_auth(std::shared_ptr<const ApiCall> call,
                                                           AuthRequest question) {
    const DispatcherConfig& config = call->snapshot->config;
    if (config.auth_hook.empty()) {
        call->state->metrics.count_auth(config.api_allow_all);
        if (config.api_allow_all) co_return std::nullopt;
        co_return forbidden("no auth hook configured", 1);
    }
    if (call->state->auth_checks >= max_auth_checks) co_return api_unavailable("too many requests to check");
    const ApiCount running(*call->state, &ApiState::auth_checks);
    int code = 1;
    const auto allowed = co_await call->snapshot->dispatch->authorise(std::move(question), &code);
    call->state->metrics.count_auth(allowed.has_value());
    if (allowed) co_return std::nullopt;
    co_return forbidden(allowed.error().message, code);
}

}  // namespace ctrlexec
