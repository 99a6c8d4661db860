// A detached job's output as it comes, read from its files.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "core/job_store.h"
#include "net/agent_job.h"
#include "net/http_session.h"
#include "net/runtime.h"

namespace ctrlexec {

// Where in the script's output to begin.
struct JobOffsets {
    std::uint64_t output = 0;
    std::uint64_t error = 0;
};

// One that looks on. Keep it in a shared_ptr.
class JobFollow : public std::enable_shared_from_this<JobFollow> {
  public:
    JobFollow(Runtime& runtime, JobStore store, std::shared_ptr<AgentJob> job, JobOffsets offsets);

    // The body of the answer, as of a run that is followed: output, what of it is not kept any more,
    // heartbeats, and at the end {"result": …}. Ends without it when the agent does: the caller may ask
    // again, from where it is.
    asio::awaitable<Result<void>> stream(std::shared_ptr<BodyWriter> writer);

  private:
    asio::awaitable<Result<std::string>> next_lines(bool ended);
    asio::awaitable<Result<std::string>> result_line();
    asio::awaitable<void> wait();
    void watch();

    Runtime& runtime_;
    JobStore store_;
    std::shared_ptr<AgentJob> job_;
    JobOffsets next_;
    asio::posix::stream_descriptor changes_;  // inotify; closed where there is none
    bool watching_ = false;
    bool changed_ = false;
    asio::steady_timer wake_;
};

}  // namespace ctrlexec
