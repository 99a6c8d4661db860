#include "net/live_run.h"

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "core/digest.h"

namespace ctrlexec {
namespace {

// Not in a coroutine: g++ 12 miscompiles initializer lists there.
json::Value done() {
    return json::Object{{"status", "done"}};
}

}  // namespace

LiveRun::LiveRun(Runtime& runtime, std::shared_ptr<const AsyncRuns> runs, std::shared_ptr<WatchedRun> watched,
                 std::function<void(const RunResult&)> on_result)
    : runtime_(runtime), runs_(std::move(runs)), watched_(std::move(watched)), log_(new_reqid()) {
    for (const auto& host : watched_->run.hosts) {
        if (host.state == SubmittedHost::State::done) log_.add("result", host.result.to_json());
    }
    watched_->on_result = [this, tell = std::move(on_result)](const RunResult& result) {
        if (tell) tell(result);
        add("result", result.to_json());
    };
}

void LiveRun::add(std::string_view type, const json::Value& data) {
    log_.add(type, data);
    wake();
}

void LiveRun::wake() {
    for (auto* timer : waiting_) timer->cancel();
}

asio::awaitable<bool> LiveRun::wait(std::chrono::milliseconds most) {
    struct Entry {
        Entry(std::set<asio::steady_timer*>& all, asio::steady_timer& mine) : waiting(all), timer(mine) {
            waiting.insert(&timer);
        }
        ~Entry() { waiting.erase(&timer); }
        std::set<asio::steady_timer*>& waiting;
        asio::steady_timer& timer;
    };
    const auto self = shared_from_this();
    asio::steady_timer timer(runtime_.io(), most);
    const Entry entry(waiting_, timer);
    std::error_code error;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    co_return static_cast<bool>(error);
}

void LiveRun::start() {
    runtime_.spawn(drive(shared_from_this()));
}

asio::awaitable<void> LiveRun::drive(Shared live) {
    live->watched_->on_output = [raw = live.get()](const std::string& host, const FollowLine& line) {
        raw->add("output", line.to_json(host));
    };
    co_await live->runs_->wait(live->watched_, std::chrono::milliseconds(0));
    live->watched_->on_output = nullptr;
    live->watched_->on_result = nullptr;
    if (live->watched_->run.done()) {
        live->add("end", done());
        live->finished_ = true;
    }
    live->wake();
}

}  // namespace ctrlexec
