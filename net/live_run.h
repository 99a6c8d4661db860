// A run in the background as it goes, for all who listen: one stream of each agent's output, and one log of
// events.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "core/event_log.h"
#include "net/async_runs.h"
#include "net/runtime.h"

namespace ctrlexec {

// Events: "output" {host, stream, offset, data or skipped}, "result" (as RunResult::to_json), and at last
// "end".
class LiveRun : public std::enable_shared_from_this<LiveRun> {
  public:
    // `on_result` hears of each result that this run has brought in itself.
    LiveRun(Runtime& runtime, std::shared_ptr<const AsyncRuns> runs, std::shared_ptr<WatchedRun> watched,
            std::function<void(const RunResult&)> on_result);
    LiveRun(const LiveRun&) = delete;
    LiveRun& operator=(const LiveRun&) = delete;

    // Begins to follow the hosts. It goes on until the run is done, or stop() is called.
    void start();
    void stop() { watched_->abandon(); }

    const EventLog& log() const { return log_; }
    bool finished() const { return finished_; }  // "end" is in the log

    // False when nothing has happened for so long.
    asio::awaitable<bool> wait(std::chrono::milliseconds most);
    void wake();

    int listeners = 0;

  private:
    using Shared = std::shared_ptr<LiveRun>;
    static asio::awaitable<void> drive(Shared live);
    void add(std::string_view type, const json::Value& data);

    Runtime& runtime_;
    std::shared_ptr<const AsyncRuns> runs_;
    std::shared_ptr<WatchedRun> watched_;
    EventLog log_;
    std::set<asio::steady_timer*> waiting_;
    bool finished_ = false;
};

}  // namespace ctrlexec
