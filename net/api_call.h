// One request to the HTTP API on its way through the routes.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "core/auth_request.h"
#include "core/json.h"
#include "core/rate_limiter.h"
#include "core/tag_cache.h"
#include "core/target.h"
#include "net/api_events.h"
#include "net/api_metrics.h"
#include "net/api_snapshot.h"
#include "net/http_message.h"
#include "net/http_session.h"

namespace ctrlexec {

struct KeyedRun;  // net/api_idempotency.cc

// What requests share: it lives as long as the server.
struct ApiState {
    explicit ApiState(Runtime& loop);

    // For a configuration that was loaded: nobody is blocked any more, and tags are asked for anew.
    void begin_anew(const DispatcherConfig& config);

    // True when none is under way any more within `timeout`.
    asio::awaitable<bool> wait_for_dispatches(std::chrono::milliseconds timeout);

    Runtime& runtime;
    bool stopping = false;  // /readyz says 503, and so do requests to agents
    int dispatches = 0;     // under way, until their answers are made
    int auth_checks = 0;    // hooks that run now
    ApiMetrics metrics;
    std::function<std::size_t()> open_connections;  // of the listener; empty before it listens
    asio::steady_timer count_ended;
    RateLimiter refusals;  // of credentials, by address
    TagCache tags;
    ApiEvents events;
    std::set<std::string> script_names;                           // seen, for /openapi-live.json; capped
    std::map<std::string, std::shared_ptr<KeyedRun>> keyed_runs;  // under way, by IdempotencyStore::name_of
};

// Adds one to a count of the state for as long as it lives. The state belongs to the call, which outlives it.
class ApiCount {
  public:
    ApiCount(ApiState& state, int ApiState::*count) : state_(state), count_(count) { ++(state_.*count_); }
    ~ApiCount() {
        --(state_.*count_);
        state_.count_ended.cancel();
    }
    ApiCount(const ApiCount&) = delete;
    ApiCount& operator=(const ApiCount&) = delete;

  private:
    ApiState& state_;
    int ApiState::*count_;
};

struct ApiCall {
    std::shared_ptr<const ApiSnapshot> snapshot;
    std::shared_ptr<ApiState> state;
    HttpMessage request;
    std::string path;  // of the target, without query
    std::string source_ip;
    std::optional<json::Value> body;  // a JSON object, when the request had one
    std::string body_error;           // why there is none although the request had a body
    std::string username;             // from the body, else Authorization: Basic
    std::string token;  // from the body, else Authorization: Bearer or Basic; secret: never logged
};

// Of every agent in the registry, sorted.
asio::awaitable<Result<std::vector<std::string>>> registered_names(std::shared_ptr<const ApiCall> call);

// {"ok":false,"error":TEXT}, with "detail" when there is one.
HttpAnswer api_error(int status, std::string_view error, std::string_view detail = {});

// 500 for a file of ours that cannot be read or written. Why, with its path, is for the log alone.
HttpAnswer api_failed(std::string_view what, const Error& why);

// {"ok":false,"error":WHY} with 503 and Retry-After.
HttpAnswer api_unavailable(std::string_view why, std::string_view detail = {});

// Why no further request to agents can begin now: 503.
std::optional<HttpAnswer> unavailable(const ApiCall& call);

// Nothing when the policy and the auth hook permit it, where there are such; else the 403. api_auth_default
// decides when there is neither. 429 for an address whose credentials were refused too often, before a hook
// runs; 503 when too many hooks run already: each is a process that anybody who can connect may cause.
// `targets`: where question.hosts are to be reached, in the same order; without them no tags are looked at.
asio::awaitable<std::optional<HttpAnswer>> refused_by_auth(std::shared_ptr<const ApiCall> call,
                                                           AuthRequest question, std::vector<Target> targets);
// For what is about no hosts. The policy knows an action "metrics"; the hook hears "api" then.
asio::awaitable<std::optional<HttpAnswer>> refused_by_auth(std::shared_ptr<const ApiCall> call,
                                                           AuthRequest question);
// Nothing when the policy shows the results of that run to the caller, or when there is none; else
// no_such_run(): whether it exists is already more than others may know.
asio::awaitable<std::optional<HttpAnswer>> hidden_by_policy(std::shared_ptr<const ApiCall> call,
                                                            std::string reqid, std::string script,
                                                            std::vector<std::string> hosts);
HttpAnswer no_such_run(std::string_view reqid);
AuthRequest api_question(const ApiCall& call, std::string action);

}  // namespace ctrlexec
