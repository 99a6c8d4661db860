#include "net/api_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/log.h"
#include "core/target.h"
#include "core/utf8.h"
#include "net/api_async.h"
#include "net/api_dispatch.h"
#include "net/api_documents.h"
#include "net/api_events.h"
#include "net/api_requests.h"

namespace ctrlexec {
namespace {

using Call = std::shared_ptr<const ApiCall>;
using Handler = asio::awaitable<HttpAnswer> (*)(Call);

asio::awaitable<HttpAnswer> index(Call) {
    co_return json_answer(200, api_index(api_endpoints()));
}

asio::awaitable<HttpAnswer> health(Call) {
    co_return api_health();
}

asio::awaitable<HttpAnswer> livez(Call) {
    co_return one_word(200, "live");
}

asio::awaitable<HttpAnswer> readyz(Call call) {
    if (call->state->stopping) co_return one_word(503, "stopping");
    co_return one_word(200, "ready");
}

struct Route {
    std::string_view method;
    std::string_view path;  // "{…}" in it takes one segment
    Handler answer;
    bool open = false;  // without the auth check
};

constexpr std::array<Route, 15> routes{{
    {"GET", "/", index},
    {"POST", "/cancel/{reqid}", api_cancel},
    {"GET", "/discovery", api_discovery},
    {"POST", "/discovery", api_discovery},
    {"GET", "/docs", api_docs},
    {"GET", "/health", health},
    {"GET", "/livez", livez, true},
    {"GET", "/metrics", api_metrics},
    {"GET", "/openapi-live.json", api_live_document},
    {"GET", "/openapi.json", api_document},
    {"POST", "/ping", api_ping},
    {"GET", "/readyz", readyz, true},
    {"POST", "/run", api_run},
    {"GET", "/runs/{reqid}/events", api_events},
    {"GET", "/status/{reqid}", api_status},
}};

bool matches(std::string_view pattern, std::string_view path) {
    const auto brace = pattern.find('{');
    if (brace == std::string_view::npos) return pattern == path;
    const std::string_view rest = pattern.substr(pattern.find('}') + 1);
    if (path.size() <= brace + rest.size() || path.substr(0, brace) != pattern.substr(0, brace) ||
        !path.ends_with(rest))
        return false;
    return path.substr(brace, path.size() - rest.size() - brace).find('/') == std::string_view::npos;
}

const Route* find_route(std::string_view method, std::string_view path) {
    if (method == "HEAD") method = "GET";
    const auto found = std::ranges::find_if(
        routes, [&](const Route& r) { return r.method == method && matches(r.path, path); });
    return found == routes.end() ? nullptr : &*found;
}

// "GET, HEAD, POST, OPTIONS" of what exists; "" for an unknown path.
std::string allowed_methods(std::string_view path) {
    std::string allowed;
    for (const auto& route : routes) {
        if (!matches(route.path, path)) continue;
        allowed += fmt::format("{}{}", route.method, route.method == "GET" ? ", HEAD, " : ", ");
    }
    return allowed.empty() ? allowed : allowed + "OPTIONS";
}

// One line a request: who, what, how it ended. Never the token.
void log_request(const ApiCall& call, int status) {
    log_event(status >= 500 ? LogLevel::warning : LogLevel::info, "api-request",
              {{"METHOD", call.request.method},
               {"PATH", call.path},
               {"PEER", call.source_ip},
               {"STATUS", std::to_string(status)},
               {"USER", call.username}});
}

// "https://192.0.2.1:7445" when the page that asks was served by us. A name is not believed unless it is
// configured: a foreign site's name may be made to mean our address once its page is loaded (DNS rebinding).
bool is_same_origin(const HttpMessage& request) {
    const std::string_view origin = request.header("origin");
    const auto at = origin.find("://");
    if (at == std::string_view::npos || origin.substr(at + 3) != request.header("host")) return false;
    const auto host = Target::parse(std::string(request.header("host")));
    return host && (host->host == "localhost" || is_ip_address(host->host));
}

enum class Origin { none, permitted, foreign };

Origin origin_of(const HttpMessage& request, const DispatcherConfig& config) {
    if (!request.has_header("origin")) return Origin::none;
    if (is_same_origin(request)) return Origin::none;
    const auto& permitted = config.api_cors_origins;
    return std::ranges::find(permitted, request.header("origin")) != permitted.end() ? Origin::permitted
                                                                                     : Origin::foreign;
}

void add_cors(HttpAnswer& answer, const HttpMessage& request, const std::string& methods) {
    answer.headers.emplace_back("Access-Control-Allow-Origin", std::string(request.header("origin")));
    answer.headers.emplace_back("Vary", "Origin");
    if (request.method != "OPTIONS" || answer.status != 204) return;  // of an unknown path nothing is allowed
    answer.headers.emplace_back("Access-Control-Allow-Methods", methods);
    answer.headers.emplace_back("Access-Control-Allow-Headers",
                                "Authorization, Content-Type, Idempotency-Key");
    answer.headers.emplace_back("Access-Control-Max-Age", "600");
}

HttpAnswer with_allow(HttpAnswer answer, const std::string& methods) {
    answer.headers.emplace_back("Allow", methods);
    return answer;
}

// The pattern, for metrics: a path of the client's would be a label without bounds.
std::string_view pattern_of(std::string_view path) {
    const auto found = std::ranges::find_if(routes, [&](const Route& r) { return matches(r.path, path); });
    return found == routes.end() ? std::string_view("none") : found->path;
}

// A browser asks its user for a token only when it is told to, and /docs is the one page for people.
HttpAnswer with_challenge(HttpAnswer refused, const ApiCall& call) {
    const bool guarded = call.snapshot->policy.has_value() || !call.snapshot->config.auth_hook.empty();
    const bool known = call.snapshot->policy && call.snapshot->policy->knows(call.token);
    const bool reads = call.request.method == "GET" || call.request.method == "HEAD";
    if (call.path != "/docs" || !reads || refused.status != 403 || !guarded || known) return refused;
    refused.status = 401;
    refused.headers.emplace_back("WWW-Authenticate", "Basic realm=\"ctrl-exec\", charset=\"UTF-8\"");
    return refused;
}

asio::awaitable<HttpAnswer> route(Call call) {
    const std::string methods = allowed_methods(call->path);
    const Route* found = find_route(call->request.method, call->path);
    const bool preflight = call->request.method == "OPTIONS" &&
                           origin_of(call->request, call->snapshot->config) == Origin::permitted;
    const bool open = found != nullptr && found->open;
    if (!open && !preflight) {
        AuthRequest question = api_question(*call, "api");
        auto refused = co_await refused_by_auth(call, std::move(question));
        if (refused) co_return with_challenge(std::move(*refused), *call);
    }
    if (methods.empty()) co_return api_error(404, "not found");
    if (call->request.method == "OPTIONS") {
        HttpAnswer answer;
        answer.status = 204;
        co_return with_allow(std::move(answer), methods);
    }
    if (found == nullptr) {
        HttpAnswer answer = api_error(405, "method not allowed");
        co_return with_allow(std::move(answer), methods);
    }
    if (!is_acceptable_content(call->request))
        co_return api_error(415, "unsupported media type", "send application/json");
    co_return co_await found->answer(call);
}

}  // namespace

json::Array api_endpoints() {
    json::Array list;
    for (const auto& each : routes)
        list.emplace_back(json::Object{{"method", each.method}, {"path", each.path}});
    return list;
}

HttpAnswer malformed_api_request(ApiState& state, const Error& error) {
    state.metrics.count_request("none", "other", info(error.code).http_status, 0);
    return api_error(info(error.code).http_status, error.message, error.detail);
}

asio::awaitable<HttpAnswer> answer_api_request(std::shared_ptr<const ApiSnapshot> snapshot,
                                               std::shared_ptr<ApiState> state, std::string source_ip,
                                               HttpMessage request) {
    const auto call =
        read_api_call(std::move(snapshot), std::move(state), std::move(source_ip), std::move(request));
    const Stopwatch watch;
    const Origin origin = origin_of(call->request, call->snapshot->config);
    HttpAnswer answer;
    if (origin == Origin::foreign) {
        // Whatever a browser runs for another site must not reach us with the rights of who sits before it.
        answer = api_error(403, "origin not permitted", "see api_cors_origins");
    } else {
        answer = co_await route(call);
    }
    if (origin == Origin::permitted) add_cors(answer, call->request, allowed_methods(call->path));
    call->state->metrics.count_request(pattern_of(call->path), call->request.method, answer.status,
                                       watch.seconds());
    log_request(*call, answer.status);
    co_return answer;
}

}  // namespace ctrlexec
