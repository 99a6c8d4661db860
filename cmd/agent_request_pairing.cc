// Usage: request-pairing --dispatcher HOST [--port N] [--background] [--timeout N]
// Asks for a certificate, prints the code, waits for the operator. With --background only the request's id is
// printed, as soon as the request is queued; a process in the background waits. Its exit codes: 0 stored, 2
// timed out, 3 denied.
#include <fmt/format.h>

#include <cstdio>

#include "cmd/background.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/config_file.h"
#include "core/log.h"
#include "core/target.h"
#include "net/pairing_client.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

constexpr int default_port = 7444;
constexpr int max_wait = 600;
constexpr int default_background_wait = 30;
constexpr int background_timed_out = 2;
constexpr int background_denied = 3;

Result<int> number_option(const Invocation& call, std::string_view option, int fallback, int high) {
    if (!call.has(option)) return fallback;
    std::int64_t value = 0;
    if (!parse_integer(call.text(option), 1, high, value)) {
        return fail(Errc::usage, fmt::format("{} must be 1 to {}", option, high));
    }
    return static_cast<int>(value);
}

Result<PairingAttempt> read_options(const Invocation& call) {
    if (!call.has("--dispatcher")) return fail(Errc::usage, "request-pairing needs --dispatcher HOST");
    TRY(const Target target, Target::parse(call.text("--dispatcher")));
    PairingAttempt attempt;
    attempt.dispatcher = target.host;
    TRY(attempt.port, number_option(call, "--port", target.port == 0 ? default_port : target.port, 65535));
    const int wait = call.has("--background") ? default_background_wait : max_wait;
    TRY(const int seconds, number_option(call, "--timeout", wait, max_wait));
    attempt.wait = std::chrono::seconds(seconds);
    return attempt;
}

Result<void> pair(const AgentConfig& config, PairingAttempt attempt) {
    Runtime runtime;
    Result<void> outcome;
    runtime.run([&]() -> asio::awaitable<int> {
        outcome = co_await request_pairing(runtime, config, std::move(attempt));
        co_return 0;
    });
    if (outcome) {
        log_event(LogLevel::notice, "pair-complete", {{"HOST", config.hostname}});
    } else {
        const Errc code = outcome.error().code;
        const char* action = code == Errc::denied      ? "pair-denied"
                             : code == Errc::timed_out ? "pair-timeout"
                                                       : "pair-fail";
        log_event(LogLevel::warning, action, {{"HOST", config.hostname}, {"REASON", outcome.error().text()}});
    }
    return outcome;
}

int in_foreground(const Invocation& call, const AgentConfig& config, PairingAttempt attempt) {
    attempt.queued = [&](const std::string& reqid, const std::string& code) {
        print_out(
            fmt::format("Pairing request sent: {}\nPairing code: {}\nCompare the code with the dispatcher's, "
                        "then approve "
                        "it there: ctrl-exec-dispatcher approve {}\n",
                        reqid, code, reqid));
        std::fflush(stdout);
    };
    if (const auto paired = pair(config, std::move(attempt)); !paired) return report(call, paired.error());
    print_out(fmt::format("Paired: certificate stored in {}\n", config.cert));
    return 0;
}

int in_background(const Invocation& call, const AgentConfig& config, PairingAttempt attempt) {
    auto background = Background::start();
    if (!background) return report(call, background.error());
    if (background->is_parent()) return background->relay();
    attempt.queued = [&](const std::string& reqid, const std::string&) { background->detach(reqid + "\n"); };
    const auto paired = pair(config, std::move(attempt));
    if (paired) return 0;
    if (!background->detached()) return report(call, paired.error());
    const Errc code = paired.error().code;
    return code == Errc::timed_out ? background_timed_out : code == Errc::denied ? background_denied : 1;
}

}  // namespace

int agent_request_pairing(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    auto attempt = read_options(call);
    if (!attempt) return report(call, attempt.error());
    const auto config = AgentConfig::load(call.text("--config", default_agent_config));
    if (!config) return report(call, config.error());
    if (call.has("--background")) return in_background(call, *config, std::move(*attempt));
    return in_foreground(call, *config, std::move(*attempt));
}

}  // namespace ctrlexec
