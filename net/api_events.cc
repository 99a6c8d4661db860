#include "net/api_events.h"

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "core/run_store.h"
#include "net/api_async.h"
#include "net/api_call.h"

namespace ctrlexec {
namespace {

using Call = std::shared_ptr<const ApiCall>;
using State = std::shared_ptr<ApiState>;
using Live = std::shared_ptr<LiveRun>;

constexpr std::chrono::seconds heartbeat{15};
constexpr std::chrono::seconds linger{60};  // who has lost his connection goes on where he was
constexpr std::size_t piece_bytes = 64 * 1024;
constexpr std::string_view stored_epoch = "stored";

// After `linger` without a listener the run is followed no more.
asio::awaitable<void> forget_later(State state, std::string reqid, Live live) {
    asio::steady_timer timer(state->runtime.io(), linger);
    std::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (live->listeners > 0) co_return;
    live->stop();
    const auto found = state->events.runs.find(reqid);
    if (found != state->events.runs.end() && found->second == live) state->events.runs.erase(found);
}

class Listener {
  public:
    Listener(State state, std::string reqid, Live live)
        : state_(std::move(state)), reqid_(std::move(reqid)), live_(std::move(live)) {
        ++state_->events.listeners;
        ++live_->listeners;
    }
    ~Listener() {
        --state_->events.listeners;
        if (--live_->listeners == 0) state_->runtime.spawn(forget_later(state_, reqid_, live_));
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

  private:
    State state_;
    std::string reqid_;
    Live live_;
};

asio::awaitable<Result<void>> tell(State state, std::shared_ptr<const Listener>, Live live,
                                   EventLog::Position position, std::shared_ptr<BodyWriter> writer) {
    for (;;) {
        std::string text = live->log().read(position, piece_bytes);
        if (text.empty()) {
            // The client comes back with the id that it has seen last.
            if (live->finished() || state->stopping || writer->stopping()) co_return success();
            if (co_await live->wait(heartbeat)) continue;
            text = ":\n\n";
        }
        CO_TRY_DO(co_await writer->write(std::move(text)));
    }
}

HttpAnswer event_stream() {
    HttpAnswer answer;
    answer.headers.emplace_back("Content-Type", "text/event-stream");
    answer.headers.emplace_back("Cache-Control", "no-store");
    answer.headers.emplace_back("X-Accel-Buffering",
                                "no");  // nginx would hold back what is to be seen at once
    return answer;
}

// Says to the client that nothing more will come, so that it does not ask again.
HttpAnswer nothing_more() {
    HttpAnswer answer;
    answer.status = 204;
    return answer;
}

HttpAnswer listen(const State& state, const std::string& reqid, const Live& live, std::string_view last_id) {
    const EventLog::Position position = live->log().position(last_id);
    if (live->finished() && live->log().at_end(position)) return nothing_more();
    HttpAnswer answer = event_stream();
    const auto listener = std::make_shared<const Listener>(state, reqid, live);
    answer.stream = [state, listener, live, position](std::shared_ptr<BodyWriter> writer) {
        return tell(state, listener, live, position, std::move(writer));
    };
    return answer;
}

// A run that has completed: its results, and the end.
HttpAnswer replay(const StoredRun& run, std::string_view last_id) {
    // Without a log: all of them may be more than one keeps.
    std::string text;
    const bool ours = last_id.starts_with(stored_epoch);
    std::size_t number = 0;
    const auto add = [&](std::string_view type, const json::Value& data) {
        const std::string id = std::string(stored_epoch) + "-" + std::to_string(number++);
        if (ours && last_id == id) {
            text.clear();
        } else {
            text += event_text(id, type, data);
        }
    };
    for (const auto& result : run.results) add("result", result);
    add("end", json::Object{{"status", "done"}});
    if (text.empty()) return nothing_more();
    HttpAnswer answer = event_stream();
    if (!last_id.empty() && !ours) answer.body = event_text("", "reset", json::Object());
    answer.body += text;
    return answer;
}

asio::awaitable<HttpAnswer> events_of_completed(Call call, std::string reqid, std::string last_id) {
    std::function<Result<StoredRun>()> work = [directory = call->snapshot->config.runs_dir(), reqid] {
        return RunStore(directory).find(reqid);
    };
    const auto run = co_await offload<StoredRun>(call->state->runtime.pool(), file_timeout, std::move(work));
    if (!run && run.error().code == Errc::not_found) co_return no_such_run(reqid);
    if (!run) co_return api_failed("the stored run cannot be read", run.error());
    auto hidden = co_await hidden_by_policy(call, reqid, run->script, run->hosts);
    if (hidden) co_return std::move(*hidden);
    co_return replay(*run, last_id);
}

// Makes room by one that nobody listens to any more.
bool has_room(ApiEvents& events) {
    if (events.runs.size() < ApiEvents::max_runs) return true;
    for (auto each = events.runs.begin(); each != events.runs.end(); ++each) {
        if (each->second->listeners > 0) continue;
        each->second->stop();
        events.runs.erase(each);
        return true;
    }
    return false;
}

}  // namespace

asio::awaitable<HttpAnswer> api_events(Call call) {
    const std::string reqid = reqid_in(call->path);
    const std::string last_id(call->request.header("last-event-id"));
    const State state = call->state;
    const auto runs = async_runs(*call);
    auto watched = co_await runs->find(reqid);
    const bool under_way = watched.has_value();
    if (!under_way && watched.error().code != Errc::not_found)
        co_return api_failed("the stored run cannot be read", watched.error());
    if (under_way) {
        const SubmittedRun& run = (*watched)->run;
        auto hidden = co_await hidden_by_policy(call, reqid, run.script, run.host_names());
        if (hidden) co_return std::move(*hidden);
    } else {
        HttpAnswer whole = co_await events_of_completed(call, reqid, last_id);
        // Who has heard the beginning here is told the end from where he was.
        const auto known = state->events.runs.find(reqid);
        const bool goes_on = whole.status == 200 && !last_id.empty() && known != state->events.runs.end() &&
                             !known->second->log().position(last_id).reset;
        if (!goes_on) co_return std::move(whole);
    }
    if (state->stopping || state->events.listeners >= ApiEvents::max_listeners)
        co_return api_unavailable("too many listeners");
    auto found = state->events.runs.find(reqid);
    if (found == state->events.runs.end()) {
        if (!has_room(state->events)) co_return api_unavailable("too many runs are listened to");
        // Weakly: the state holds the run, which holds this.
        std::function<void(const RunResult&)> count = [weak = std::weak_ptr(state)](const RunResult& result) {
            if (const auto counts = weak.lock()) count_async_result(*counts, result);
        };
        auto live = std::make_shared<LiveRun>(state->runtime, runs, *watched, std::move(count));
        live->start();
        found = state->events.runs.emplace(reqid, std::move(live)).first;
    }
    co_return listen(state, reqid, found->second, last_id);
}

}  // namespace ctrlexec
