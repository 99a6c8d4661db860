// Blocking work (getaddrinfo, key generation, signing with fsync) on worker threads, awaited from the loop.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "core/result.h"

namespace ctrlexec {

// For reading or writing a few files: longer takes only a volume that is not there any more.
inline constexpr std::chrono::seconds file_timeout{20};

// Detached threads, so that a name server that does not answer cannot hold up our exit. They never touch the
// loop after it is gone: completions pass a gate that the pool's destructor shuts.
class OffloadPool {
  public:
    explicit OffloadPool(asio::io_context& io);
    ~OffloadPool();
    OffloadPool(const OffloadPool&) = delete;
    OffloadPool& operator=(const OffloadPool&) = delete;

    // Runs `work` on a worker, then `done` on the loop (never, once the pool is gone).
    void submit(std::function<void()> work, std::function<void()> done);

  private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
};

// Awaits work() on a worker. Errc::timed_out when it takes longer; the work then ends unobserved. `work`
// returns a Result and owns everything it needs.
template <typename T>
asio::awaitable<Result<T>> offload(OffloadPool& pool, std::chrono::milliseconds timeout,
                                   std::function<Result<T>()> work) {
    struct Job {
        std::optional<Result<T>> result;
        asio::steady_timer* waiting = nullptr;  // null once the awaiting coroutine is gone
    };
    struct Forget {
        std::shared_ptr<Job> job;
        ~Forget() { job->waiting = nullptr; }
    };
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, timeout);
    const auto job = std::make_shared<Job>();
    const Forget forget{job};
    job->waiting = &timer;
    // The worker writes into a box of its own; the loop moves it into the job, so that no lock is needed
    // here.
    auto box = std::make_shared<std::optional<Result<T>>>();
    std::function<void()> run = [box, task = std::move(work)] { box->emplace(task()); };
    std::function<void()> done = [box, job] {
        job->result = std::move(*box);
        if (job->waiting != nullptr) job->waiting->cancel();
    };
    pool.submit(std::move(run), std::move(done));
    std::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (!job->result) co_return fail(Errc::timed_out, "took too long");
    co_return std::move(*job->result);
}

}  // namespace ctrlexec
