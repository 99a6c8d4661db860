#include "net/async_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include "core/log.h"
#include "core/timestamp.h"
#include "net/fan_out.h"
#include "net/run_calls.h"

namespace ctrlexec {
namespace {

using State = SubmittedHost::State;
using Kind = JobState::Kind;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds first_pause{250};  // then twice as long each time
constexpr std::chrono::milliseconds longest_pause{10'000};
constexpr int submissions = 4;  // of one run to one agent
constexpr std::chrono::seconds longest_poll{30};
constexpr std::chrono::seconds longest_turn = std::chrono::hours(24 * 366);  // for ever, as runs go

void log_submission(const RunResult& result, std::string_view state) {
    log_event(state == "accepted" ? LogLevel::info : LogLevel::warning, "run-submit",
              {{"ERROR", result.error},
               {"REQID", result.reqid},
               {"SCRIPT", result.script},
               {"STATE", std::string(state)},
               {"TARGET", result.host}});
}

void log_cancel(const std::string& reqid, const std::string& host, const Result<JobState>& state) {
    log_event(state ? LogLevel::info : LogLevel::warning, "run-cancel",
              {{"ERROR", state ? std::string() : state.error().text()},
               {"REQID", reqid},
               {"STATE", state ? std::string(word(state->kind)) : "unknown"},
               {"TARGET", host}});
}

void log_store_failure(const std::string& reqid, const Error& why) {
    log_event(LogLevel::error, "run-store-fail", {{"ERROR", why.text()}, {"REQID", reqid}});
}

// The request certainly did not reach a script: no connection, no acceptable peer, or a plain no.
bool took_nothing(Errc code) {
    return code == Errc::unresolved || code == Errc::refused || code == Errc::key_mismatch ||
           code == Errc::tls_failed || code == Errc::denied || code == Errc::not_found;
}

RunResult named(RunResult result, const WatchedRun& watched, std::size_t i) {
    result.host = watched.run.hosts[i].target.host;
    result.script = watched.run.script;
    result.reqid = watched.run.reqid;
    if (result.rtt.empty()) result.rtt = "0ms";
    return result;
}

RunResult failed(const Error& why, const std::string& host) {
    RunResult result;
    result.error = why.text();
    // The route is missing: it is the agent that refuses, although it could not say so.
    if (why.code == Errc::not_found) {
        result.error = too_old(host, "run a script in the background") + "; nothing was run";
    } else {
        result.failure = why.code;
    }
    return result;
}

RunResult ended_unseen(bool accepted) {
    RunResult result;
    if (accepted) {
        result.lost = true;
        result.error = "the agent accepted it, but does not know it any more";
    } else {
        result.failure = Errc::unreachable;
        result.error = "the agent has never confirmed that it accepted it, and does not know it";
    }
    return result;
}

}  // namespace

void WatchedRun::abandon() {
    abandoned_ = true;
    if (wake_ != nullptr) wake_->cancel();
}

AsyncRuns::AsyncRuns(Runtime& runtime, std::shared_ptr<const Dispatch> dispatch,
                     const DispatcherConfig& config)
    : runtime_(&runtime), dispatch_(std::move(dispatch)), config_(config) {}

asio::awaitable<Result<AsyncRuns::Submission>> AsyncRuns::begin(
    std::vector<Target> targets, std::shared_ptr<const RunRequest> request) const {
    auto watched = std::make_shared<WatchedRun>();
    watched->run.reqid = request->reqid;
    watched->run.script = request->script;
    watched->run.username = request->username;
    watched->run.submitted = now_seconds();
    for (auto& target : targets) {
        SubmittedHost host;
        host.target = std::move(target);
        watched->run.hosts.push_back(std::move(host));
    }
    watched->notes.resize(watched->run.hosts.size());
    std::function<Result<FileLock>()> work = [directory = config_.runs_dir(), run = watched->run] {
        // Where no API serves nobody else does it. Failing now it is tried again with the next run.
        (void)SubmittedRuns(directory).purge(run.submitted);
        (void)RunStore(directory).purge(run.submitted);
        return SubmittedRuns(directory).create(run);
    };
    CO_TRY(FileLock lock, co_await offload<FileLock>(runtime_->pool(), file_timeout, std::move(work)));
    Submission submission{std::move(watched), std::move(lock)};
    co_return std::move(submission);
}

asio::awaitable<void> AsyncRuns::submit(Submission submission, std::shared_ptr<const RunRequest> request,
                                        std::function<void(const RunResult&)> on_problem) const {
    Watched watched = submission.watched;
    std::function<asio::awaitable<void>(std::size_t)> work = [&](std::size_t i) {
        return submit_one(watched, i, request, on_problem);
    };
    co_await each_pending(watched, std::move(work));
    watched->unsaved_ = true;
    co_await save(watched);
}

asio::awaitable<void> AsyncRuns::submit_one(Watched watched, std::size_t i,
                                            std::shared_ptr<const RunRequest> request,
                                            std::function<void(const RunResult&)> on_problem) const {
    SubmittedHost& host = watched->run.hosts[i];
    const std::string name = host.target.host;
    bool uncertain = false;  // one of the requests may have been taken
    RunResult problem;
    std::chrono::milliseconds time = first_pause;
    for (int left = submissions; left > 0; --left) {
        AgentQuestion question = submit_question(*request);
        Target target = host.target;
        const auto body = co_await dispatch_->put_question(std::move(target), std::move(question));
        auto state = body ? job_state(*body) : Result<JobState>(body.error());
        if (state && !state->result && state->kind != Kind::unknown) {
            host.state = State::accepted;
            problem = named(RunResult(), *watched, i);
            log_submission(problem, "accepted");
            co_return;
        }
        if (state && state->result) {
            problem = std::move(*state->result);
            uncertain = false;
            break;
        }
        const Error why =
            state ? fail(Errc::bad_answer, "the agent has neither accepted nor refused it") : state.error();
        problem = failed(why, name);
        uncertain = uncertain || !took_nothing(why.code);
        if (!uncertain || why.code == Errc::timed_out) break;
        if (left > 1) co_await pause(time);
        time *= 2;
    }
    if (uncertain) problem.error += "; it may have been accepted, which the command status finds out";
    problem = named(std::move(problem), *watched, i);
    log_submission(problem, uncertain ? "unknown" : "refused");
    if (!uncertain) {
        host.result = problem;
        host.state = State::done;
    }
    if (on_problem) on_problem(problem);
}

asio::awaitable<Result<std::shared_ptr<WatchedRun>>> AsyncRuns::find(std::string reqid) const {
    std::function<Result<SubmittedRun>()> work = [directory = config_.runs_dir(), reqid] {
        return SubmittedRuns(directory).find(reqid);
    };
    CO_TRY(SubmittedRun run, co_await offload<SubmittedRun>(runtime_->pool(), file_timeout, std::move(work)));
    auto watched = std::make_shared<WatchedRun>();
    watched->notes.resize(run.hosts.size());
    watched->run = std::move(run);
    co_return std::move(watched);
}

asio::awaitable<void> AsyncRuns::each_pending(Watched watched,
                                              std::function<asio::awaitable<void>(std::size_t)> work) const {
    std::vector<std::size_t> pending;
    for (std::size_t i = 0; i < watched->run.hosts.size(); ++i) {
        if (watched->run.hosts[i].state != State::done) pending.push_back(i);
    }
    std::function<asio::awaitable<void>(std::size_t)> one = [&](std::size_t n) { return work(pending[n]); };
    co_await fan_out(*runtime_, pending.size(), static_cast<std::size_t>(config_.max_parallel),
                     std::move(one));
}

asio::awaitable<void> AsyncRuns::ask(Watched watched) const {
    std::function<asio::awaitable<void>(std::size_t)> work = [this, watched](std::size_t i) {
        return ask_one(watched, i, std::chrono::seconds(0));
    };
    co_await each_pending(watched, std::move(work));
    co_await save(watched);
}

asio::awaitable<void> AsyncRuns::ask_one(Watched watched, std::size_t i, std::chrono::seconds wait) const {
    SubmittedHost& host = watched->run.hosts[i];
    if (host.state == State::done) co_return;
    AgentQuestion question =
        result_question(watched->run.reqid, wait, std::chrono::seconds(config_.read_timeout));
    Target target = host.target;
    const auto body = co_await dispatch_->put_question(std::move(target), std::move(question));
    auto state = body ? job_state(*body) : Result<JobState>(body.error());
    if (watched->abandoned() || host.state == State::done) co_return;
    if (state && !state->result && (state->kind == Kind::done || state->kind == Kind::lost))
        state = fail(Errc::bad_answer, "the agent's answer lacks the result");
    HostNote& note = watched->notes[i];
    note.problem = state ? std::string() : state.error().text();
    if (!state) co_return;
    note.state = *state;
    const bool unknown = state->kind == Kind::unknown;
    if (unknown && host.state == State::asked && watched->run.submitting) co_return;
    if (!unknown && !state->result) {
        watched->unsaved_ = watched->unsaved_ || host.state != State::accepted;
        host.state = State::accepted;
        co_return;
    }
    settle(*watched, i, unknown ? ended_unseen(host.state == State::accepted) : std::move(*state->result));
}

void AsyncRuns::settle(WatchedRun& watched, std::size_t i, RunResult result) const {
    SubmittedHost& host = watched.run.hosts[i];
    host.result = named(std::move(result), watched, i);
    host.state = State::done;
    watched.unsaved_ = true;
    log_run_result(host.result);
    if (watched.on_result) watched.on_result(host.result);
    if (watched.wake_ != nullptr) watched.wake_->cancel();
}

// Until it is done, or its turn is over.
asio::awaitable<void> AsyncRuns::ask_for_long(Watched watched, std::size_t i,
                                              std::chrono::seconds turn) const {
    const auto begun = Clock::now();
    std::chrono::milliseconds time = first_pause;
    while (!watched->abandoned()) {
        const auto before = Clock::now();
        if (watched->on_output) {
            std::function<bool()> unwanted = [watched, begun, turn] {
                return watched->abandoned() || Clock::now() - begun >= turn;
            };
            co_await follow_one(watched, i, std::move(unwanted));
        } else {
            co_await ask_one(watched, i, std::min(turn, longest_poll));
        }
        if (watched->run.is_done(i) || Clock::now() - begun >= turn) co_return;
        // An agent that cannot be asked, or that does not know how to wait, is not asked without a pause.
        const bool at_once = Clock::now() - before < std::chrono::seconds(1);
        if (at_once) co_await pause(time);
        time = at_once ? std::min(time * 2, longest_pause) : first_pause;
    }
}

asio::awaitable<void> AsyncRuns::ask_until_done(std::shared_ptr<const AsyncRuns> runs, Watched watched) {
    const int parallel = runs->config_.max_parallel;
    while (!watched->run.done() && !watched->abandoned()) {
        // Many hosts have to share the connections that there may be at the same time.
        const auto pending = static_cast<int>(watched->run.pending().size());
        const auto turn = pending <= parallel
                              ? longest_turn
                              : std::max(std::chrono::seconds(1), longest_poll * parallel / pending);
        std::function<asio::awaitable<void>(std::size_t)> work = [runs, watched, turn](std::size_t i) {
            return runs->ask_for_long(watched, i, turn);
        };
        co_await runs->each_pending(watched, std::move(work));
    }
}

asio::awaitable<void> AsyncRuns::wait(Watched watched, std::chrono::milliseconds timeout) const {
    asio::steady_timer wake(runtime_->io(), Clock::time_point::max());
    if (timeout.count() > 0) wake.expires_after(timeout);
    watched->wake_ = &wake;
    runtime_->spawn(ask_until_done(std::make_shared<const AsyncRuns>(*this), watched));
    std::error_code ignored;
    for (;;) {
        co_await save(watched);
        if (watched->run.done() || watched->abandoned() || wake.expiry() <= Clock::now()) break;
        if (watched->unsaved_) continue;
        co_await wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    watched->abandoned_ = true;
    watched->wake_ = nullptr;
    co_await save(watched);
}

asio::awaitable<void> AsyncRuns::pause(std::chrono::milliseconds time) const {
    asio::steady_timer timer(runtime_->io(), time);
    std::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<void> AsyncRuns::save(Watched watched) const {
    if (!watched->unsaved_) co_return;
    watched->unsaved_ = false;
    std::function<Result<SubmittedRun>()> work = [directory = config_.runs_dir(), run = watched->run] {
        return SubmittedRuns(directory).update(run, now_seconds());
    };
    const auto saved = co_await offload<SubmittedRun>(runtime_->pool(), file_timeout, std::move(work));
    if (!saved) {
        log_store_failure(watched->run.reqid, saved.error());
        co_return;
    }
    // What another process has found is news to whoever watches here.
    const SubmittedRun before = watched->run;
    watched->run.merge(*saved);
    for (std::size_t i = 0; i < before.hosts.size(); ++i) {
        const SubmittedHost& host = watched->run.hosts[i];
        const bool news = host.state == State::done && before.hosts[i].state != State::done;
        if (news && watched->on_result) watched->on_result(host.result);
    }
}

asio::awaitable<Result<JobState>> AsyncRuns::cancel(Target target, std::string reqid) const {
    const std::string host = target.host;
    AgentQuestion question = cancel_question(reqid);
    const auto body = co_await dispatch_->put_question(std::move(target), std::move(question));
    Result<JobState> state = body ? job_state(*body) : Result<JobState>(body.error());
    if (!state && state.error().code == Errc::not_found)
        state = fail(Errc::not_found, too_old(host, "cancel a run"));
    log_cancel(reqid, host, state);
    co_return std::move(state);
}

}  // namespace ctrlexec
