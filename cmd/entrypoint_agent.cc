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
#include "net/pairing_wait.h"

namespace ctrlexec {
namespace {

constexpr int host_not_set = 1;  // as the documented script exits

Result<AgentConfig> write_config(const Entrypoint& start) {
    TRY_DO(create_missing(start.config, first_agent_config(start.config, start.state_dir), 0644, nullptr));
    TRY(AgentConfig config, AgentConfig::load(start.config));
    TRY_DO(create_missing(config.allowlist, first_allowlist(), 0644, nullptr));
    return config;
}

// Returns an exit code; `paired` says whether to serve.
int pair(const Invocation& call, const AgentConfig& config, const PairingPlan& plan, bool& paired) {
    say(fmt::format("No cert found - requesting pairing with {}...", plan.name));
    open_log(call.program, LogFallback::discard);
    PairingAttempt attempt;
    attempt.dispatcher = plan.dispatcher.host;
    attempt.port = plan.dispatcher.port == 0 ? default_pairing_port : plan.dispatcher.port;
    attempt.wait = std::chrono::seconds(max_pairing_wait);
    attempt.queued = print_queued;
    if (plan.wait) {
        const auto done =
            pair_waiting(call, config, std::move(attempt), [&] { return file_exists(config.cert); });
        if (!done) return report_wait(call, done.error());
        paired = true;
        return 0;
    }
    const auto lock = FileLock::acquire(pairing_lock_path(config), FileLock::Wait::no);
    if (!lock) return report_start(lock.error());
    if (const auto done = pair_once(config, std::move(attempt)); !done) return report(call, done.error());
    say("Pairing request sent. Approve on the dispatcher, then restart this container.");
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
    Invocation call;
    call.program = "ctrl-exec-agent";
    call.verb = "serve";
    call.options["--config"] = start.config;
    bool paired = file_exists(config->cert);
    if (!paired) {
        if (const int code = pair(call, *config, *plan, paired); code != 0 || !paired) return code;
    }
    say("Cert found - starting ctrl-exec-agent serve...");
    return agent_serve(call);
}

}  // namespace ctrlexec
