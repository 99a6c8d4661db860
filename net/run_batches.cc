#include "net/run_batches.h"

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

namespace ctrlexec {

BatchedRun::BatchedRun(Runtime& runtime, std::vector<Target> targets, BatchPlan plan,
                       std::shared_ptr<const RunRequest> request, std::function<void(RunResult)> on_result)
    : targets_(std::move(targets)),
      plan_(plan),
      request_(std::move(request)),
      on_result_(std::move(on_result)),
      waiting_(targets_.size()),
      pause_(runtime.io()) {
    for (const auto& target : targets_) ++hosts_[target.host].waiting;
}

void BatchedRun::stop(std::string why) {
    if (stopped_.empty()) stopped_ = std::move(why);
    pause_.cancel();
}

// Why the host must not begin; else it does.
std::string BatchedRun::begin(const std::string& host) {
    judge();
    if (!stopped_.empty()) return stopped_;
    Host& state = hosts_[host];
    --state.waiting;
    ++state.running;
    --waiting_;
    return {};
}

void BatchedRun::take(RunResult result) {
    Host& state = hosts_[result.host];
    if (result.outcome() == Outcome::skipped) {
        --state.waiting;
        --waiting_;
    } else {
        --state.running;
        if (!result.ok()) ++failed_;
    }
    on_result_(std::move(result));
}

void BatchedRun::judge() {
    if (stopped_.empty()) stopped_ = plan_.objection(handed_out_, failed_);
}

std::vector<Target> BatchedRun::running() const {
    std::vector<Target> found;
    for (const auto& target : targets_) {
        if (hosts_.at(target.host).running > 0) found.push_back(target);
    }
    return found;
}

void BatchedRun::abandon(const std::string& why_running) {
    for (const auto& target : targets_) {
        const Host& state = hosts_[target.host];
        if (state.running > 0) {
            RunResult result = not_started(target.host, *request_, "");
            result.skipped = false;
            result.error = why_running;
            result.failure = Errc::cancelled;
            take(std::move(result));
        } else if (state.waiting > 0) {
            take(not_started(target.host, *request_, stopped_));
        }
    }
}

// All that is left, to be skipped, once nothing may begin any more.
std::vector<Target> BatchedRun::next_batch() {
    const std::size_t left = targets_.size() - handed_out_;
    const std::size_t count = stopped_.empty() ? plan_.next(handed_out_, left) : left;
    const auto first = targets_.begin() + static_cast<std::ptrdiff_t>(handed_out_);
    handed_out_ += count;
    return std::vector<Target>(first, first + static_cast<std::ptrdiff_t>(count));
}

// Two ports of one host share its lock: it is for the last batch that has one of them.
HostLocks BatchedRun::locks_of(const std::vector<Target>& batch, HostLocks& locks) const {
    std::map<std::string, int> mine;
    for (const auto& target : batch) ++mine[target.host];
    HostLocks found;
    for (const auto& [host, count] : mine) {
        if (hosts_.at(host).waiting > count) continue;
        if (auto lock = locks.extract(host)) found.insert(std::move(lock));
    }
    return found;
}

asio::awaitable<void> BatchedRun::carry_out(std::shared_ptr<BatchedRun> run,
                                            std::shared_ptr<const Dispatch> dispatch, HostLocks locks,
                                            OnOutput on_output) {
    std::error_code ignored;
    while (run->handed_out_ < run->targets_.size()) {
        run->judge();
        if (run->handed_out_ > 0 && run->stopped_.empty()) {
            run->pause_.expires_after(run->plan_.pause());
            co_await run->pause_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        }
        std::vector<Target> batch = run->next_batch();
        HostLocks held = run->locks_of(batch, locks);
        std::function<void(RunResult)> on_result = [run](RunResult result) { run->take(std::move(result)); };
        MayBegin may_begin = [run](const std::string& host) { return run->begin(host); };
        OnOutput output = on_output;
        co_await dispatch->run(std::move(batch), run->request_, std::move(held), std::move(on_result),
                               std::move(output), std::move(may_begin));
    }
}

}  // namespace ctrlexec
