#include <fmt/format.h>

#include "cmd/entrypoint.h"
#include "cmd/pairing_request.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/agent_config.h"
#include "core/dispatcher_config.h"
#include "core/file.h"
#include "core/first_config.h"
#include "core/log.h"
#include "core/proof_sources.h"
#include "core/staged_pairing.h"
#include "core/timestamp.h"
#include "net/pairing_wait.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

constexpr int host_not_set = 1;  // as the documented script exits

Result<AgentConfig> write_config(const Entrypoint& start) {
    TRY_DO(create_missing(start.config, first_agent_config(start.config, start.state_dir), 0644, nullptr));
    TRY(AgentConfig config, AgentConfig::load(start.config));
    TRY_DO(create_missing(config.allowlist, first_allowlist(), 0644, nullptr));
    return config;
}

// An answer is there whose check code somebody has to confirm.
bool is_staged(const AgentConfig& config) {
    return load_staged_pairing(config, now_seconds()).has_value();
}

int wait_confirmed(const Invocation& call, const AgentConfig& config) {
    say("Approved; serves once the check code that the dispatcher shows is typed here: "
        "ctrl-exec-agent pairing-confirm CODE");
    Result<void> confirmed;
    Runtime runtime;
    runtime.run([&]() -> asio::awaitable<int> {
        confirmed = co_await wait_for_confirmation(runtime, config);
        co_return 0;
    });
    return confirmed ? 0 : report_wait(call, confirmed.error());
}

// Returns an exit code; `serve` says whether to go on.
int pair(const Invocation& call, const AgentConfig& config, const PairingPlan& plan,
         const ProofSources& sources, bool& serve) {
    say(fmt::format("No cert found - requesting pairing with {}...", plan.name));
    PairingAttempt attempt;
    attempt.dispatcher = plan.dispatcher.host;
    attempt.port = plan.dispatcher.port == 0 ? default_pairing_port : plan.dispatcher.port;
    attempt.wait = std::chrono::seconds(max_pairing_wait);
    attempt.queued = print_queued;
    if (plan.wait) {
        const auto done = pair_waiting(call, config, std::move(attempt), sources, Asking::never,
                                       [&] { return file_exists(config.cert) || is_staged(config); });
        if (!done) return report_wait(call, done.error());
        serve = true;
        return 0;
    }
    const auto lock = FileLock::acquire(pairing_lock_path(config), FileLock::Wait::no);
    if (!lock) return report_start(lock.error());
    const auto done = pair_once(call, config, std::move(attempt), sources, Asking::never);
    if (!done) return report(call, done.error());
    serve = *done == PairingEnd::staged;
    if (!serve) say("Pairing request sent. Approve on the dispatcher, then restart this container.");
    return 0;
}

// Until there is a certificate; returns an exit code.
int become_paired(const Invocation& call, const AgentConfig& config, const PairingPlan& plan,
                  const ProofSources& sources, bool& serve) {
    open_log(call.program, LogFallback::discard);
    for (serve = true; serve && !file_exists(config.cert);) {
        serve = false;
        if (is_staged(config)) {
            const int code = wait_confirmed(call, config);
            serve = file_exists(config.cert);  // otherwise we were told to stop
            if (code != 0 || !serve) return code;
        } else if (const int code = pair(call, config, plan, sources, serve); code != 0) {
            return code;
        }
    }
    return 0;
}

}  // namespace

int start_agent(const Entrypoint& start) {
    const auto plan = read_pairing_plan(environment_variable);
    if (!plan) {
        const int code = report_start(plan.error());
        return environment_variable("DISPATCHER_HOST").empty() ? host_not_set : code;
    }
    const auto config = write_config(start);
    if (!config) return report_start(config.error());
    if (start.configure_only) return 0;
    // Also when it is paired: what is served shall not have the token.
    const auto sources = ProofSources::read("", "", config->pair_trust);
    Invocation call;
    call.program = "ctrl-exec-agent";
    call.verb = "serve";
    call.options["--config"] = start.config;
    if (!file_exists(config->cert)) {
        if (!sources) return report_start(sources.error());
        bool serve = false;
        if (const int code = become_paired(call, *config, *plan, *sources, serve); code != 0 || !serve)
            return code;
    }
    say("Cert found - starting ctrl-exec-agent serve...");
    return agent_serve(call);
}

}  // namespace ctrlexec
