#include "net/token_file_renewal.h"

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>

#include "core/log.h"
#include "core/timestamp.h"
#include "net/offload.h"

namespace ctrlexec {
namespace {

// Often enough for the last tenth of its time.
std::chrono::seconds interval_of(const JoinTokenFile& file) {
    return std::chrono::seconds(std::clamp<std::int64_t>(file.terms.ttl / 100, 1, 60));
}

// Logging stays out of coroutines: g++ 12 miscompiles initializer lists there.
void log_failure(const std::string& why) {
    log_event(LogLevel::error, "join-token-renew-fail", {{"ERROR", why}});
}

}  // namespace

asio::awaitable<void> renew_token_file(Runtime& runtime, std::function<DispatcherConfig()> config,
                                       JoinTokenFile file) {
    asio::steady_timer timer(runtime.io());
    std::error_code ignored;
    std::string complaint;  // logged once, until it is another
    for (;;) {
        timer.expires_after(interval_of(file));
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        std::function<Result<bool>()> work = [file, config = config()] {
            return file.renew(config, now_seconds());
        };
        const auto renewed = co_await offload<bool>(runtime.pool(), file_timeout, std::move(work));
        const std::string why = renewed ? std::string() : renewed.error().text();
        if (!why.empty() && why != complaint) log_failure(why);
        complaint = why;
    }
}

}  // namespace ctrlexec
