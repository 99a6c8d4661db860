#include "net/identity_watch.h"

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include "core/dispatcher_identity.h"

namespace ctrlexec {

asio::awaitable<void> watch_identity(Runtime& runtime, std::vector<std::int64_t> stamp,
                                     std::function<DispatcherConfig()> config,
                                     std::function<void()> on_change) {
    constexpr std::chrono::seconds interval{2};
    asio::steady_timer timer(runtime.io());
    std::error_code ignored;
    for (;;) {
        timer.expires_after(interval);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        std::vector<std::int64_t> now = identity_stamp(config());
        if (now == stamp) continue;
        stamp = std::move(now);
        on_change();
    }
}

}  // namespace ctrlexec
