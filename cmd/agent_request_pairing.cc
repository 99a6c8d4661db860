// Usage: request-pairing --dispatcher HOST [--port N] [--background | --wait] [--timeout N] [--new-key]
//                        [--ca-pin PIN]... [--join-token-file FILE]
// Asks for a certificate, prints the code, waits for the operator. With --background only the request's id is
// printed, as soon as the request is queued; a process in the background waits. Its exit codes: 0 stored, 2
// timed out, 3 denied, 4 approved, but pairing-confirm must follow (as in the foreground). With --wait it
// asks again until the operator has answered.
#include <fmt/format.h>

#include "cmd/background.h"
#include "cmd/pairing_request.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/config_file.h"
#include "core/dispatcher_config.h"
#include "core/log.h"
#include "core/target.h"

namespace ctrlexec {
namespace {

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
    if (call.has("--background") && call.has("--wait"))
        return fail(Errc::usage, "--background and --wait exclude each other");
    // A variable of a script that was never set must not become trust in whoever answers.
    for (const char* proof : {"--ca-pin", "--join-token-file"}) {
        if (call.has(proof) && call.text(proof).empty())
            return fail(Errc::usage,
                        fmt::format("{} is empty; leave it out, or say what it should be", proof));
    }
    TRY(const Target target, Target::parse(call.text("--dispatcher")));
    PairingAttempt attempt;
    attempt.dispatcher = target.host;
    TRY(attempt.port,
        number_option(call, "--port", target.port == 0 ? default_pairing_port : target.port, 65535));
    const int wait = call.has("--background") ? default_background_wait : max_pairing_wait;
    TRY(const int seconds, number_option(call, "--timeout", wait, max_pairing_wait));
    attempt.wait = std::chrono::seconds(seconds);
    attempt.new_key = call.has("--new-key");
    return attempt;
}

int in_foreground(const Invocation& call, const AgentConfig& config, PairingAttempt attempt,
                  const ProofSources& sources) {
    attempt.queued = print_queued;
    const bool wait = call.has("--wait");
    const auto end = wait ? pair_waiting(call, config, std::move(attempt), sources, Asking::on_terminal, {})
                          : pair_once(call, config, std::move(attempt), sources, Asking::on_terminal);
    if (!end) return wait ? report_wait(call, end.error()) : report(call, end.error());
    if (*end == PairingEnd::stored) {
        print_paired(config);
        return 0;
    }
    print_staged();
    return exit_staged;
}

int in_background(const Invocation& call, const AgentConfig& config, PairingAttempt attempt,
                  const ProofSources& sources) {
    auto background = Background::start();
    if (!background) return report(call, background.error());
    if (background->is_parent()) return background->relay();
    attempt.queued = [&](const QueuedRequest& request) { background->detach(request.reqid + "\n"); };
    const auto end = pair_once(call, config, std::move(attempt), sources, Asking::never);
    if (end) return *end == PairingEnd::stored ? 0 : exit_staged;
    if (!background->detached()) return report(call, end.error());
    const Errc code = end.error().code;
    return code == Errc::timed_out ? background_timed_out : code == Errc::denied ? background_denied : 1;
}

}  // namespace

int agent_request_pairing(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    auto attempt = read_options(call);
    if (!attempt) return report(call, attempt.error());
    const auto config = AgentConfig::load(call.text("--config", default_agent_config));
    if (!config) return report(call, config.error());
    const auto sources =
        ProofSources::read(call.text("--ca-pin"), call.text("--join-token-file"), config->pair_trust);
    if (!sources) return report(call, sources.error());
    if (call.has("--background")) return in_background(call, *config, std::move(*attempt), *sources);
    return in_foreground(call, *config, std::move(*attempt), *sources);
}

}  // namespace ctrlexec
