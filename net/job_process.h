// The supervisor of a job, as the agent has started it or found it again.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <string>

#include "core/job_directory.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace ctrlexec {

class JobProcess {
  public:
    explicit JobProcess(const asio::any_io_executor& executor) : executor_(executor), exit_(executor) {}

    // Our child from now on. Blocks for microseconds.
    Result<void> start(const std::string& directory);
    // All of `spec` into its stdin. A supervisor that does not take it gets a part, and will start nothing.
    asio::awaitable<void> hand_over(std::string spec);

    // One that an earlier agent has started. Blocks on files. Errc::not_found when it has not told who it is
    // yet, or has ended.
    static Result<UniqueFd> find(const JobDirectory& job);
    Result<void> adopt(UniqueFd pidfd);

    bool is_known() const { return exit_.is_open(); }
    // Waits for its end, and reaps our own.
    asio::awaitable<void> exited();

    // Call when started.json is there: before, the signal would end it.
    void cancel();

  private:
    bool has_exited();

    asio::any_io_executor executor_;
    asio::posix::stream_descriptor exit_;  // the pidfd
    UniqueFd input_;
    pid_t child_ = -1;  // positive while it is ours to reap
};

}  // namespace ctrlexec
