// A run that is waited for, batch after batch, and what is known of it meanwhile.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/batch_plan.h"
#include "net/dispatch.h"
#include "net/runtime.h"

namespace ctrlexec {

class BatchedRun {
  public:
    BatchedRun(Runtime& runtime, std::vector<Target> targets, BatchPlan plan,
               std::shared_ptr<const RunRequest> request, std::function<void(RunResult)> on_result);

    // Nothing begins any more: what has not is skipped. What is under way goes on.
    void stop(std::string why);

    // Under way now.
    std::vector<Target> running() const;
    std::size_t waiting() const { return waiting_; }  // how many have not begun
    const RunRequest& request() const { return *request_; }

    // Of those without a result yet, a result: they are not waited for any longer.
    void abandon(const std::string& why_running);

    // Dispatch::run for all batches; every target has a result afterwards. Shares the ownership: who runs it
    // may be gone.
    static asio::awaitable<void> carry_out(std::shared_ptr<BatchedRun> run,
                                           std::shared_ptr<const Dispatch> dispatch, HostLocks locks,
                                           OnOutput on_output);

  private:
    struct Host {
        int waiting = 0;  // of its targets: two ports of one host are two
        int running = 0;
    };
    std::string begin(const std::string& host);
    void take(RunResult result);
    void judge();
    std::vector<Target> next_batch();
    HostLocks locks_of(const std::vector<Target>& batch, HostLocks& locks) const;

    std::vector<Target> targets_;
    BatchPlan plan_;
    std::shared_ptr<const RunRequest> request_;
    std::function<void(RunResult)> on_result_;
    std::map<std::string, Host> hosts_;
    std::size_t waiting_;
    std::size_t handed_out_ = 0;  // the first so many targets are of a batch that has begun
    std::size_t failed_ = 0;
    std::string stopped_;  // why nothing begins any more
    asio::steady_timer pause_;
};

}  // namespace ctrlexec
