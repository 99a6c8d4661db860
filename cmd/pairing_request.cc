#include "cmd/pairing_request.h"

#include <fmt/format.h>

#include <cstdio>

#include "cmd/print.h"
#include "core/log.h"
#include "net/pairing_wait.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

void log_outcome(const AgentConfig& config, const Result<void>& outcome) {
    if (outcome) {
        log_event(LogLevel::notice, "pair-complete", {{"HOST", config.hostname}});
        return;
    }
    const Errc code = outcome.error().code;
    const char* action = code == Errc::denied      ? "pair-denied"
                         : code == Errc::timed_out ? "pair-timeout"
                                                   : "pair-fail";
    log_event(LogLevel::warning, action, {{"HOST", config.hostname}, {"REASON", outcome.error().text()}});
}

}  // namespace

Result<void> pair_once(const AgentConfig& config, PairingAttempt attempt) {
    Runtime runtime;
    Result<void> outcome;
    runtime.run([&]() -> asio::awaitable<int> {
        outcome = co_await request_pairing(runtime, config, std::move(attempt));
        co_return 0;
    });
    log_outcome(config, outcome);
    return outcome;
}

Result<void> pair_waiting(const Invocation& call, const AgentConfig& config, PairingAttempt attempt,
                          std::function<bool()> settled) {
    PairingWait wait;
    wait.attempt = std::move(attempt);
    wait.settled = std::move(settled);
    wait.waiting = [&call](const Error& reason) {
        print_error_line(fmt::format("{}: not paired yet: {}; trying again", call.program, reason.text()));
    };
    Runtime runtime;
    Result<void> outcome;
    runtime.run([&]() -> asio::awaitable<int> {
        outcome = co_await wait_for_pairing(runtime, config, std::move(wait));
        co_return 0;
    });
    log_outcome(config, outcome);
    return outcome;
}

void print_queued(const std::string& reqid, const std::string& code) {
    print_out(
        fmt::format("Pairing request sent: {}\nPairing code: {}\nCompare the code with the dispatcher's, "
                    "then approve it there: ctrl-exec-dispatcher approve {}\n",
                    reqid, code, reqid));
    std::fflush(stdout);
}

void print_paired(const AgentConfig& config) {
    print_out(fmt::format("Paired: certificate stored in {}\n", config.cert));
    std::fflush(stdout);
}

int report_wait(const Invocation& call, const Error& error) {
    const int code = report(call, error);
    return error.code == Errc::cancelled ? 0 : code;
}

}  // namespace ctrlexec
