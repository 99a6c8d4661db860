#include "net/ticker.h"

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

namespace ctrlexec {

asio::awaitable<void> tick_forever(Runtime& runtime, std::chrono::milliseconds interval,
                                   std::function<void()> action) {
    asio::steady_timer timer(runtime.io());
    for (;;) {
        timer.expires_after(interval);
        std::error_code error;
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        action();
    }
}

}  // namespace ctrlexec
