// One job as AgentJobs knows it; its files say the rest.
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "core/job_record.h"
#include "net/job_process.h"

namespace ctrlexec {

struct AgentJob {
    enum class State {
        accepting,  // its files are being made
        refused,    // nothing was run, and nothing is kept
        running,
        ended,
    };

    AgentJob(const asio::any_io_executor& executor, JobKey who) : key(std::move(who)), process(executor) {}

    // Wakes who waits for it.
    void change(State next) {
        state = next;
        for (auto* timer : waiting) timer->cancel();
    }
    const char* word() const { return state != State::ended ? "running" : lost ? "lost" : "done"; }
    bool is_under_way() const { return state == State::accepting || state == State::running; }

    JobKey key;
    std::string script;
    State state = State::accepting;
    bool lost = false;
    bool cancel_wanted = false;
    std::int64_t ended = 0;  // epoch seconds
    JobProcess process;
    std::set<asio::steady_timer*> waiting;
};

// A timer that the job's next change cancels.
class WakenByJob {
  public:
    WakenByJob(AgentJob& job, asio::steady_timer& timer) : job_(job), timer_(timer) {
        job_.waiting.insert(&timer_);
    }
    WakenByJob(const WakenByJob&) = delete;
    WakenByJob& operator=(const WakenByJob&) = delete;
    ~WakenByJob() { job_.waiting.erase(&timer_); }

  private:
    AgentJob& job_;
    asio::steady_timer& timer_;
};

}  // namespace ctrlexec
