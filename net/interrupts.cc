#include "net/interrupts.h"

#include <fmt/format.h>

#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <csignal>
#include <map>

#include "net/fan_out.h"

namespace ctrlexec {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds patience{15};  // for the end of scripts that were told to end

struct Interruptible {
    explicit Interruptible(Runtime& loop) : runtime(loop), wake(loop.io(), Clock::time_point::max()) {}

    Runtime& runtime;
    std::shared_ptr<const AsyncRuns> runs;
    std::vector<Target> targets;
    std::string reqid;
    std::map<std::string, int> left;  // results to come, by host
    std::function<void(std::string)> say;
    asio::steady_timer wake;  // its time is when we wait no longer
    int interrupts = 0;
    bool done = false;

    std::vector<Target> waited_for() const {
        std::vector<Target> waiting;
        for (const auto& target : targets) {
            const auto found = left.find(target.host);
            if (found != left.end() && found->second > 0) waiting.push_back(target);
        }
        return waiting;
    }

    void stop_waiting() { wake.expires_at(Clock::now()); }
};

using Shared = std::shared_ptr<Interruptible>;

std::string names_of(const std::vector<Target>& targets) {
    std::string names;
    for (const auto& target : targets) names += (names.empty() ? "" : ", ") + target.host;
    return names;
}

asio::awaitable<void> carry_out(Shared shared, std::shared_ptr<const Dispatch> dispatch,
                                std::shared_ptr<const RunRequest> request, HostLocks locks,
                                std::function<void(RunResult)> on_result, OnOutput on_output) {
    std::function<void(RunResult)> hand_over = [shared, on_result](RunResult result) {
        --shared->left[result.host];
        on_result(std::move(result));
    };
    std::vector<Target> targets = shared->targets;
    co_await dispatch->run(std::move(targets), std::move(request), std::move(locks), std::move(hand_over),
                           std::move(on_output));
    shared->done = true;
    shared->wake.cancel();
}

asio::awaitable<void> cancel(Shared shared) {
    const std::vector<Target> waiting = shared->waited_for();
    int cancelling = 0;
    std::function<asio::awaitable<void>(std::size_t)> one = [&](std::size_t i) -> asio::awaitable<void> {
        Target target = waiting[i];
        const auto state = co_await shared->runs->cancel(std::move(target), shared->reqid);
        if (!state) {
            shared->say(fmt::format("{}: not cancelled: {}", waiting[i].host, state.error().text()));
        } else if (state->kind == JobState::Kind::unknown) {
            shared->say(fmt::format("{}: not cancelled: the agent does not know the run", waiting[i].host));
        } else {
            ++cancelling;
        }
    };
    co_await fan_out(shared->runtime, waiting.size(), waiting.size(), std::move(one));
    if (cancelling == 0) shared->stop_waiting();  // nothing will come that would not have come anyway
}

void interrupted(const Shared& shared) {
    const std::string names = names_of(shared->waited_for());
    switch (++shared->interrupts) {
        case 1:
            shared->say(fmt::format("still waiting for {}; another Ctrl-C cancels the script there", names));
            break;
        case 2:
            shared->say(fmt::format("cancelling on {}; another Ctrl-C ends this at once", names));
            shared->wake.expires_after(patience);
            shared->runtime.spawn(cancel(shared));
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

RunResult unseen(const Interruptible& shared, const Target& target, const std::string& script) {
    RunResult result;
    result.host = target.host;
    result.script = script;
    result.reqid = shared.reqid;
    result.rtt = "0ms";
    result.error = "interrupted before there was a result; the script may still run there";
    result.failure = Errc::cancelled;
    return result;
}

}  // namespace

asio::awaitable<bool> run_interruptibly(Runtime& runtime, std::shared_ptr<const AsyncRuns> runs,
                                        std::shared_ptr<const Dispatch> dispatch, std::vector<Target> targets,
                                        std::shared_ptr<const RunRequest> request, HostLocks locks,
                                        std::function<void(RunResult)> on_result, OnOutput on_output,
                                        std::function<void(std::string)> say) {
    const auto shared = std::make_shared<Interruptible>(runtime);
    shared->runs = std::move(runs);
    shared->reqid = request->reqid;
    shared->say = std::move(say);
    for (const auto& target : targets) ++shared->left[target.host];
    shared->targets = std::move(targets);
    asio::signal_set signals(runtime.io());
    if (!interrupts_are_ignored()) {
        std::error_code ignored;
        signals.add(SIGINT, ignored);
        std::function<void()> action = [shared] { interrupted(shared); };
        runtime.spawn(on_each_signal(signals, std::move(action)));
    }
    runtime.spawn(
        carry_out(shared, std::move(dispatch), request, std::move(locks), on_result, std::move(on_output)));
    std::error_code ignored;
    while (!shared->done && shared->wake.expiry() > Clock::now())
        co_await shared->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (!shared->done) {
        for (const auto& target : shared->waited_for()) on_result(unseen(*shared, target, request->script));
    }
    co_return shared->interrupts >= 2;
}

}  // namespace ctrlexec
