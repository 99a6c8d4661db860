#include "net/maintenance.h"

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <random>

#include "core/log.h"
#include "net/rotation.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::seconds first_round{20};  // at the latest: whoever starts is busy with other things

std::chrono::milliseconds with_jitter(std::chrono::seconds interval) {
    static std::minstd_rand random{std::random_device{}()};  // of the loop's thread
    const std::chrono::milliseconds whole = interval;
    std::uniform_int_distribution<std::int64_t> spread(-whole.count() / 10, whole.count() / 10);
    return whole + std::chrono::milliseconds(spread(random));
}

std::chrono::seconds interval_of(const Result<MaintenanceTools>& tools) {
    return tools ? std::chrono::seconds(tools->config.cert_check_interval) : first_round;
}

// Logging stays out of coroutines: g++ 12 miscompiles initializer lists there.
void log_failure(const Error& why) {
    log_event(LogLevel::error, "cert-check-fail", {{"ERROR", why.text()}});
}

asio::awaitable<Result<std::vector<RenewalResult>>> one_round(Runtime& runtime,
                                                              Result<MaintenanceTools> tools) {
    CO_TRY(MaintenanceTools with, std::move(tools));
    co_await continue_rotation(runtime, with.config);
    const Renewals renewals(runtime, with.config, std::move(with.dispatch));
    co_return co_await renewals.round(RenewWhich::due);
}

}  // namespace

asio::awaitable<void> maintain_certificates(Runtime& runtime, std::function<Result<MaintenanceTools>()> tools,
                                            std::function<void(const std::vector<RenewalResult>&)> on_round) {
    asio::steady_timer timer(runtime.io());
    for (bool is_first = true;; is_first = false) {
        const std::chrono::seconds interval = interval_of(tools());
        timer.expires_after(with_jitter(is_first ? std::min(interval, first_round) : interval));
        std::error_code ignored;
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        // Not kept between rounds: a reload must let go of the connections of before.
        Result<MaintenanceTools> with = tools();
        const auto done = co_await one_round(runtime, std::move(with));
        if (!done) log_failure(done.error());
        if (done && on_round) on_round(*done);
    }
}

}  // namespace ctrlexec
