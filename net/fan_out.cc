#include "net/fan_out.h"

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

namespace ctrlexec {
namespace {

struct Progress {
    std::function<asio::awaitable<void>(std::size_t)> work;
    std::size_t count;
    std::size_t next = 0;
    std::size_t workers = 0;
    asio::steady_timer* all_done = nullptr;  // lives in fan_out's frame, which outlasts the workers
};

asio::awaitable<void> worker(std::shared_ptr<Progress> progress) {
    while (progress->next < progress->count) {
        const std::size_t mine = progress->next++;
        co_await progress->work(mine);
    }
    if (--progress->workers == 0) progress->all_done->cancel();
}

}  // namespace

asio::awaitable<void> fan_out(Runtime& runtime, std::size_t count, std::size_t parallel,
                              std::function<asio::awaitable<void>(std::size_t)> work) {
    if (count == 0) co_return;
    asio::steady_timer all_done(runtime.io(), asio::steady_timer::time_point::max());
    const auto progress = std::make_shared<Progress>();
    progress->work = std::move(work);
    progress->count = count;
    progress->all_done = &all_done;
    progress->workers = std::min(count, parallel);
    for (std::size_t i = std::min(count, parallel); i > 0; --i) runtime.spawn(worker(progress));
    std::error_code ignored;
    while (progress->workers > 0)
        co_await all_done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace ctrlexec
