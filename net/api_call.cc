#include "net/api_call.h"

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "core/log.h"
#include "core/registry.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

RateLimiter limiter(const DispatcherConfig& config) {
    const RateLimit limit = config.api_rate_limit.value_or(RateLimit());
    return RateLimiter(limit, limit, config.api_rate_limit.has_value());
}

}  // namespace

ApiState::ApiState(Runtime& loop)
    : runtime(loop), count_ended(loop.io()), refusals(limiter(DispatcherConfig())) {}

void ApiState::begin_anew(const DispatcherConfig& config) {
    refusals = limiter(config);
    tags.clear();
}

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

HttpAnswer api_failed(std::string_view what, const Error& why) {
    log_event(LogLevel::error, "api-fail", {{"ERROR", why.text()}, {"WHAT", std::string(what)}});
    return api_error(500, what);
}

HttpAnswer api_unavailable(std::string_view why, std::string_view detail) {
    HttpAnswer answer = api_error(503, why, detail);
    answer.headers.emplace_back("Retry-After", "1");
    return answer;
}

}  // namespace ctrlexec
