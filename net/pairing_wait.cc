#include "net/pairing_wait.h"

#include <fmt/format.h>

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <csignal>
#include <optional>

#include "core/digest.h"
#include "core/file.h"
#include "core/kept_request.h"
#include "core/leftovers.h"
#include "core/staged_pairing.h"
#include "core/timestamp.h"
#include "core/trusted_dispatchers.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::milliseconds lock_pause{500};
constexpr std::int64_t leftover_age = 60;  // seconds: a request without --wait takes no lock

// What the asking coroutine and the signal share; the first to set an outcome wakes the main one.
struct Outcome {
    explicit Outcome(Runtime& runtime) : done(runtime.io(), asio::steady_timer::time_point::max()) {}
    asio::steady_timer done;
    std::optional<Result<WaitedPairing>> result;
};

double random_chance() {
    const std::string bytes = random_bytes(2);
    const auto number = static_cast<unsigned char>(bytes[0]) * 256u + static_cast<unsigned char>(bytes[1]);
    return number / 65536.0;
}

asio::awaitable<void> pause(std::chrono::milliseconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    std::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

// Tells of the first failure, and then of each that is of another kind than the one before. Of a dispatcher
// whose certificate is not acceptable now, each time: it may be another's.
class Reasons {
  public:
    explicit Reasons(std::function<void(const Error&)> tell) : tell_(std::move(tell)) {}
    void note(const Error& error) {
        const bool again = last_ == error.code && (error.code != Errc::tls_failed || text_ == error.message);
        text_ = error.message;
        if (!again && tell_) tell_(error);
        last_ = error.code;
    }
    void forget() { last_.reset(); }

  private:
    std::function<void(const Error&)> tell_;
    std::optional<Errc> last_;
    std::string text_;
};

void remove_old_leftovers(const AgentConfig& config) {
    const std::string trusted = TrustedDispatchers::path_beside(config.dispatcher_serial_path);
    for (const std::string& path : {config.key, config.cert, config.ca, config.dispatcher_serial_path,
                                    trusted, kept_request_path(config), staged_pairing_path(config)}) {
        (void)remove_leftovers(path, leftover_age);  // that they stay is no reason not to pair
    }
}

Error already_asking(const std::string& path) {
    return fail(Errc::locked,
                fmt::format("another process asks for a certificate here and holds {}; this one goes on when "
                            "it has ended",
                            path));
}

asio::awaitable<Result<WaitedPairing>> ask(Runtime& runtime, AgentConfig config, PairingWait wait) {
    Reasons reasons(wait.waiting);
    CO_TRY_DO(check_writable(directory_of(config.cert)));
    const std::string lock_path = pairing_lock_path(config);
    auto lock = FileLock::acquire(lock_path, FileLock::Wait::no);
    while (!lock && lock.error().code == Errc::locked) {
        reasons.note(already_asking(lock_path));
        co_await pause(lock_pause);
        lock = FileLock::acquire(lock_path, FileLock::Wait::no);
    }
    if (!lock) co_return std::move(lock).error();
    WaitedPairing waited;
    waited.lock.emplace(std::move(*lock));
    if (wait.settled && wait.settled()) co_return std::move(waited);
    remove_old_leftovers(config);
    reasons.forget();
    int failures = 0;
    const auto queued = wait.attempt.queued;
    wait.attempt.queued = [&](const QueuedRequest& request) {
        failures = 0;
        reasons.forget();
        if (queued) queued(request);
    };
    for (;;) {
        if (wait.proofs) {
            auto proofs = wait.proofs();
            if (!proofs && proofs.error().code == Errc::not_found) {
                reasons.note(proofs.error());
                co_await pause(pairing_pause(wait, 1, random_chance()));
                continue;
            }
            if (!proofs) co_return std::move(proofs).error();
            wait.attempt.proofs = std::move(*proofs);
        }
        PairingAttempt attempt = wait.attempt;
        auto answer = co_await request_pairing(runtime, config, std::move(attempt));
        if (answer) {
            waited.pairing.emplace(std::move(*answer));
            co_return std::move(waited);
        }
        if (!is_passing(answer.error().code)) co_return std::move(answer).error();
        wait.attempt.again = true;  // it came so far that it has kept a request
        reasons.note(answer.error());
        co_await pause(pairing_pause(wait, failures++, random_chance()));
    }
}

asio::awaitable<void> ask_and_tell(Runtime& runtime, AgentConfig config, PairingWait wait,
                                   std::shared_ptr<Outcome> outcome) {
    auto result = co_await ask(runtime, std::move(config), std::move(wait));
    if (!outcome->result) outcome->result.emplace(std::move(result));
    outcome->done.cancel();
}

}  // namespace

std::string pairing_lock_path(const AgentConfig& config) {
    return directory_of(config.cert) + "/.pairing.lock";
}

std::chrono::milliseconds pairing_pause(const PairingWait& wait, int failures, double chance) {
    auto pause = wait.first_pause;
    for (int i = 0; i < failures && pause < wait.longest_pause; ++i) pause *= 2;
    const auto whole = static_cast<double>(std::min(pause, wait.longest_pause).count());
    return std::chrono::milliseconds(static_cast<std::int64_t>(whole * (1 + chance) / 2));
}

bool is_passing(Errc code) {
    switch (code) {
        case Errc::busy:
        case Errc::unresolved:
        case Errc::refused:
        case Errc::unreachable:
        case Errc::timed_out:
        case Errc::tls_failed:
        case Errc::closed:
        case Errc::cancelled:  // a time that was over while we wrote
            return true;
        default:
            return false;
    }
}

asio::awaitable<Result<WaitedPairing>> wait_for_pairing(Runtime& runtime, AgentConfig config,
                                                        PairingWait wait) {
    const auto outcome = std::make_shared<Outcome>(runtime);
    asio::signal_set signals(runtime.io(), SIGTERM, SIGINT);
    signals.async_wait([outcome](const std::error_code& error, int) {
        if (error) return;
        // Also when the answer has just come: who stops us does not want us to serve.
        outcome->result.emplace(fail(Errc::cancelled, "stopped before it was paired"));
        outcome->done.cancel();
    });
    runtime.spawn(ask_and_tell(runtime, std::move(config), std::move(wait), outcome));
    std::error_code ignored;
    while (!outcome->result) {
        co_await outcome->done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    co_return std::move(*outcome->result);
}

asio::awaitable<Result<void>> wait_for_confirmation(Runtime& runtime, AgentConfig config) {
    bool stopped = false;
    asio::signal_set signals(runtime.io(), SIGTERM, SIGINT);
    asio::steady_timer timer(runtime.io());
    signals.async_wait([&](const std::error_code& error, int) {
        if (error) return;
        stopped = true;
        timer.cancel();
    });
    std::error_code ignored;
    while (!stopped) {
        const auto staged = load_staged_pairing(config, now_seconds());
        if (file_exists(config.cert)) co_return success();
        if (!staged && staged.error().code == Errc::not_found)
            co_return fail(Errc::denied, "the answer of the dispatcher was discarded");
        if (!staged) co_return staged.error();
        timer.expires_after(lock_pause);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    co_return fail(Errc::cancelled, "stopped before the check code was confirmed");
}

}  // namespace ctrlexec
