#include "net/api_idempotency.h"

#include <fmt/format.h>

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "core/digest.h"
#include "core/idempotency.h"
#include "core/run_store.h"
#include "core/timestamp.h"
#include "net/api_async.h"
#include "net/http_fields.h"

namespace ctrlexec {

// A run that a key has started in this process. Requests that repeat it wait for `answer`.
struct KeyedRun {
    explicit KeyedRun(Runtime& runtime) : answered(runtime.io(), asio::steady_timer::time_point::max()) {}
    std::string fingerprint;
    std::optional<HttpAnswer> answer;
    asio::steady_timer answered;  // cancelled when it is over, with or without an answer
};

namespace {

using Call = std::shared_ptr<const ApiCall>;

constexpr std::size_t max_key = 255;

// What makes two requests the same: not the order of JSON members, nor the caller's name, which is part of
// the key already.
std::string fingerprint_of(const std::vector<Target>& targets, const RunRequest& request, bool background) {
    std::vector<std::string> hosts;
    for (const auto& target : targets) hosts.push_back(host_port(target.host, target.port));
    json::Value value(json::Object{{"hosts", json::strings(hosts)},
                                   {"script", request.script},
                                   {"args", json::strings(request.arguments)}});
    // Only where they are set: keys of earlier versions stay good.
    if (background) value.set("async", true);
    if (request.timeout) value.set("timeout_ms", static_cast<std::int64_t>(request.timeout->count()));
    return to_hex(sha256(json::dump(value)));
}

HttpAnswer replayed(HttpAnswer answer) {
    answer.headers.emplace_back("Idempotency-Replayed", "true");
    return answer;
}

HttpAnswer of_another_request() {
    return api_error(422, "Idempotency-Key was used for another request",
                     "hosts, script, args, async and timeout must be those of the first");
}

HttpAnswer outcome_unknown(const std::string& reqid) {
    return api_error(409, "outcome unknown",
                     fmt::format("run {} was started with this Idempotency-Key, and its result is not "
                                 "stored; it is not repeated",
                                 reqid));
}

// Ours while the run is on: removes it from the table and wakes whoever waits, however the coroutine ends.
class KeyedRunEntry {
  public:
    KeyedRunEntry(std::shared_ptr<ApiState> state, std::string name, std::string fingerprint)
        : state_(std::move(state)), name_(std::move(name)) {
        run_ = std::make_shared<KeyedRun>(state_->runtime);
        run_->fingerprint = std::move(fingerprint);
        state_->keyed_runs.emplace(name_, run_);
    }
    ~KeyedRunEntry() {
        state_->keyed_runs.erase(name_);
        run_->answered.cancel();
    }
    KeyedRunEntry(const KeyedRunEntry&) = delete;
    KeyedRunEntry& operator=(const KeyedRunEntry&) = delete;

    void set(const HttpAnswer& answer) { run_->answer = answer; }

  private:
    std::shared_ptr<ApiState> state_;
    std::string name_;
    std::shared_ptr<KeyedRun> run_;
};

asio::awaitable<HttpAnswer> answer_of_running(std::shared_ptr<KeyedRun> run, std::string fingerprint) {
    if (run->fingerprint != fingerprint) co_return of_another_request();
    std::error_code ignored;
    co_await run->answered.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (!run->answer) co_return api_unavailable("shutting down");
    co_return replayed(*run->answer);
}

// On a worker: nothing when the key is free.
Result<HttpAnswer> run_answer(const DispatcherConfig& config, const std::string& reqid) {
    TRY(const StoredRun run, RunStore(config.runs_dir()).find(reqid));
    return json_answer(200, run.to_run_answer());
}

Result<std::optional<HttpAnswer>> look_up(const DispatcherConfig& config, const std::string& name,
                                          const std::string& fingerprint, bool background) {
    const auto record = IdempotencyStore(config.idempotency_dir()).find(name, now_seconds());
    if (!record && record.error().code == Errc::not_found) return std::optional<HttpAnswer>();
    if (!record) return record.error();
    if (record->fingerprint != fingerprint) return std::optional(of_another_request());
    auto answer = background ? submitted_answer(config, record->reqid) : run_answer(config, record->reqid);
    if (answer) return std::optional(replayed(std::move(*answer)));
    if (answer.error().code == Errc::not_found) return std::optional(outcome_unknown(record->reqid));
    return answer.error();
}

using Found = std::optional<HttpAnswer>;

asio::awaitable<Found> earlier_answer(Call call, std::string name, std::string fingerprint, bool background) {
    std::function<Result<Found>()> work = [call, name, fingerprint, background] {
        return look_up(call->snapshot->config, name, fingerprint, background);
    };
    auto found = co_await offload<Found>(call->state->runtime.pool(), file_timeout, std::move(work));
    if (found) co_return std::move(*found);
    co_return api_failed("the Idempotency-Key cannot be looked up", found.error());
}

// Without a record the promise cannot be kept, so then nothing is started.
asio::awaitable<Found> claim_key(Call call, std::string name, IdempotencyRecord record, bool background) {
    const std::string fingerprint = record.fingerprint;
    std::function<Result<bool>()> work = [call, name, record = std::move(record)]() -> Result<bool> {
        TRY_DO(IdempotencyStore(call->snapshot->config.idempotency_dir()).claim(name, record));
        return true;
    };
    const auto claimed = co_await offload<bool>(call->state->runtime.pool(), file_timeout, std::move(work));
    if (claimed) co_return std::nullopt;
    // Another API process on the same state was faster.
    if (claimed.error().code == Errc::exists)
        co_return co_await earlier_answer(call, name, fingerprint, background);
    co_return api_failed("the Idempotency-Key cannot be stored, nothing was run", claimed.error());
}

}  // namespace

Result<std::string> read_idempotency_key(const HttpMessage& request) {
    const std::size_t count = http::count_headers(request, "idempotency-key");
    if (count == 0) return std::string();
    const std::string_view key = request.header("idempotency-key");
    if (count > 1 || key.empty() || key.size() > max_key || !std::ranges::all_of(key, http::is_visible))
        return fail(Errc::bad_request, "invalid Idempotency-Key",
                    fmt::format("one header of 1 to {} visible ASCII characters", max_key));
    return std::string(key);
}

asio::awaitable<HttpAnswer> answer_once(Call call, std::string key, std::vector<Target> targets,
                                        std::shared_ptr<const RunRequest> request, bool background,
                                        std::function<asio::awaitable<HttpAnswer>(ClaimKey)> first) {
    const std::string name = IdempotencyStore::name_of(call->token, call->username, key);
    const std::string fingerprint = fingerprint_of(targets, *request, background);
    const auto running = call->state->keyed_runs.find(name);
    if (running != call->state->keyed_runs.end()) {
        std::shared_ptr<KeyedRun> run = running->second;
        co_return co_await answer_of_running(std::move(run), fingerprint);
    }
    KeyedRunEntry entry(call->state, name, fingerprint);
    auto earlier = co_await earlier_answer(call, name, fingerprint, background);
    if (!earlier) {
        ClaimKey claim = [call, name, request, fingerprint, background]() -> asio::awaitable<Found> {
            IdempotencyRecord record;
            record.reqid = request->reqid;
            record.fingerprint = fingerprint;
            record.started = now_seconds();
            return claim_key(call, name, std::move(record), background);
        };
        earlier = co_await first(std::move(claim));
    }
    entry.set(*earlier);
    co_return std::move(*earlier);
}

}  // namespace ctrlexec
