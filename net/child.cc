#include "net/child.h"

#include <asio/redirect_error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "net/child_run.h"
#include "net/running_children.h"

namespace ctrlexec {
namespace {

// In the coroutine's frame: goes when the frame is destroyed, also by a loop that ends while the child runs.
class AbandonOnExit {
  public:
    AbandonOnExit(std::shared_ptr<ChildRun> run, RunningChildren* children)
        : run_(std::move(run)), children_(children) {
        if (children_ != nullptr) children_->add(run_);
    }
    AbandonOnExit(const AbandonOnExit&) = delete;
    AbandonOnExit& operator=(const AbandonOnExit&) = delete;
    ~AbandonOnExit() {
        if (children_ != nullptr) children_->remove(run_);
        run_->abandon();
    }

  private:
    std::shared_ptr<ChildRun> run_;
    RunningChildren* children_;
};

}  // namespace

asio::awaitable<Result<ChildOutcome>> run_child(SpawnPlan plan, std::string input, ChildLimits limits,
                                                RunningChildren* children, ChildEvents events) {
    const auto executor = co_await asio::this_coro::executor;
    const auto run = std::make_shared<ChildRun>(executor, limits, std::move(events.on_output));
    const AbandonOnExit guard(run, children);
    CO_TRY_DO(run->start(plan, std::move(input)));
    if (events.on_start) events.on_start(run);
    if (events.on_slow) run->finished_signal().expires_after(events.slow_after);

    // A cancelled coroutine would throw at its next co_await and so skip the child's grace.
    const bool throwing = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    bool cancelled = false;
    while (!run->finished()) {
        const auto state = co_await asio::this_coro::cancellation_state;
        cancelled = state.cancelled() != asio::cancellation_type::none;
        if (cancelled) run->terminate();
        asio::error_code woken;
        co_await run->finished_signal().async_wait(asio::redirect_error(asio::use_awaitable, woken));
        if (woken || run->finished()) continue;
        run->finished_signal().expires_at(asio::steady_timer::time_point::max());
        co_await events.on_slow();
    }
    co_await asio::this_coro::throw_if_cancelled(throwing);
    if (cancelled)
        co_return fail(Errc::cancelled, plan.program.path() + ": stopped, because we were asked to stop");
    co_return run->take_outcome();
}

}  // namespace ctrlexec
