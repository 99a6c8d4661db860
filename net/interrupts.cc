#include "net/interrupts.h"

#include <fmt/format.h>

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <csignal>

#include "net/fan_out.h"

namespace ctrlexec {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds patience{15};  // for the end of scripts that were told to end

struct Interruptible {
    explicit Interruptible(Runtime& loop) : runtime(loop), wake(loop.io(), Clock::time_point::max()) {}

    Runtime& runtime;
    std::shared_ptr<const AsyncRuns> runs;
    std::shared_ptr<BatchedRun> batches;
    std::function<void(std::string)> say;
    asio::steady_timer wake;  // its time is when we wait no longer
    int interrupts = 0;
    bool done = false;

    void stop_waiting() { wake.expires_at(Clock::now()); }
};

using Shared = std::shared_ptr<Interruptible>;

constexpr std::size_t max_names = 10;
constexpr std::size_t max_cancelled_at_once = 256;

// A bounded number of them.
std::string names_of(const std::vector<Target>& targets) {
    std::string names;
    for (std::size_t i = 0; i < std::min(targets.size(), max_names); ++i)
        names += (names.empty() ? "" : ", ") + targets[i].host;
    if (targets.size() > max_names) names += fmt::format(" and {} more", targets.size() - max_names);
    return names;
}

asio::awaitable<void> carry_out(Shared shared, std::shared_ptr<const Dispatch> dispatch, HostLocks locks,
                                OnOutput on_output) {
    co_await BatchedRun::carry_out(shared->batches, std::move(dispatch), std::move(locks),
                                   std::move(on_output));
    shared->done = true;
    shared->wake.cancel();
}

asio::awaitable<void> cancel(Shared shared) {
    const std::vector<Target> waiting = shared->batches->running();
    int cancelling = 0;
    std::function<asio::awaitable<void>(std::size_t)> one = [&](std::size_t i) -> asio::awaitable<void> {
        Target target = waiting[i];
        const auto state = co_await shared->runs->cancel(std::move(target), shared->batches->request().reqid);
        if (!state) {
            shared->say(fmt::format("{}: not cancelled: {}", waiting[i].host, state.error().text()));
        } else if (state->kind == JobState::Kind::unknown) {
            shared->say(fmt::format("{}: not cancelled: the agent does not know the run", waiting[i].host));
        } else {
            ++cancelling;
        }
    };
    co_await fan_out(shared->runtime, waiting.size(), std::min(waiting.size(), max_cancelled_at_once),
                     std::move(one));
    if (cancelling == 0) shared->stop_waiting();  // nothing will come that would not have come anyway
}

void say_who_is_waited_for(const Interruptible& shared) {
    const auto running = shared.batches->running();
    const std::size_t waiting = shared.batches->waiting();
    if (running.empty()) {
        shared.say(fmt::format("{} hosts have not begun; another Ctrl-C leaves them alone", waiting));
        return;
    }
    const std::string more = waiting == 0 ? std::string() : fmt::format(", and {} have not begun", waiting);
    shared.say(fmt::format("still waiting for {}{}; another Ctrl-C cancels the script there",
                           names_of(running), more));
}

void stop_and_cancel(const Shared& shared) {
    const auto running = shared->batches->running();
    shared->batches->stop("the run was interrupted");
    if (running.empty()) {
        shared->say("nothing more begins");
        return;
    }
    shared->say(fmt::format("cancelling on {}; another Ctrl-C ends this at once", names_of(running)));
    shared->wake.expires_after(patience);
    shared->runtime.spawn(cancel(shared));
}

void interrupted(const Shared& shared) {
    switch (++shared->interrupts) {
        case 1:
            say_who_is_waited_for(*shared);
            break;
        case 2:
            stop_and_cancel(shared);
            break;
        default:
            shared->stop_waiting();
    }
}

// Of a shell that has started us in the background it is ignored, and stays so.
bool interrupts_are_ignored() {
    struct sigaction now {};
    return ::sigaction(SIGINT, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

asio::awaitable<bool> run_interruptibly(Runtime& runtime, std::shared_ptr<const AsyncRuns> runs,
                                        std::shared_ptr<const Dispatch> dispatch,
                                        std::shared_ptr<BatchedRun> batches, HostLocks locks,
                                        OnOutput on_output, std::function<void(std::string)> say) {
    const auto shared = std::make_shared<Interruptible>(runtime);
    shared->runs = std::move(runs);
    shared->batches = std::move(batches);
    shared->say = std::move(say);
    asio::signal_set signals(runtime.io());
    if (!interrupts_are_ignored()) {
        std::error_code ignored;
        signals.add(SIGINT, ignored);
        std::function<void()> action = [shared] { interrupted(shared); };
        runtime.spawn(on_each_signal(signals, std::move(action)));
    }
    runtime.spawn(carry_out(shared, std::move(dispatch), std::move(locks), std::move(on_output)));
    std::error_code ignored;
    while (!shared->done && shared->wake.expiry() > Clock::now())
        co_await shared->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (!shared->done)
        shared->batches->abandon("interrupted before there was a result; the script may still run there");
    co_return shared->interrupts >= 2;
}

}  // namespace ctrlexec
