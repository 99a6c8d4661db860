// GET /runs/{reqid}/events: a run as server-sent events (WHATWG HTML, section 9.2).
#pragma once

#include <asio/awaitable.hpp>
#include <map>
#include <memory>
#include <string>

#include "net/live_run.h"

namespace ctrlexec {

struct ApiCall;
struct HttpAnswer;

// The runs that somebody listens to, or has listened to until a minute ago.
struct ApiEvents {
    static constexpr std::size_t max_runs = 64;  // each has an EventLog
    static constexpr int max_listeners = 256;

    std::map<std::string, std::shared_ptr<LiveRun>> runs;  // by reqid
    int listeners = 0;

    void wake_all() const {
        for (const auto& [reqid, live] : runs) live->wake();
    }
};

asio::awaitable<HttpAnswer> api_events(std::shared_ptr<const ApiCall> call);

}  // namespace ctrlexec
