// Usage: token [--actions LIST] [--scripts LIST] [--hosts LIST] [--name NAME] [--append]
// Makes a token for the HTTP API, and the line of the policy file that knows it by its hash. The token is
// printed this once and is stored nowhere.
#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/auth_policy.h"
#include "core/json.h"
#include "core/log.h"

namespace ctrlexec {
namespace {

// A grant that permits nothing would only be noticed when the token is refused.
Result<std::string> make_line(const Invocation& call, std::string_view token) {
    const std::string actions = call.text("--actions", "run,ping,status");
    const std::string scripts = call.text("--scripts", "-");
    const std::string hosts = call.text("--hosts", "-");
    auto line = policy_line(token, actions, scripts, hosts, call.text("--name"));
    if (!line) return fail(Errc::usage, line.error().message);
    TRY(const AuthPolicy policy, AuthPolicy::parse("line", *line));
    const PolicyGrant& grant = policy.grants().front();
    const bool on_hosts = grant.permits(PolicyAction::run) || grant.permits(PolicyAction::ping) ||
                          grant.permits(PolicyAction::status);
    const bool with_script = grant.permits(PolicyAction::run) || grant.permits(PolicyAction::status);
    if (on_hosts && grant.hosts.empty() && grant.tags.empty())
        return fail(Errc::usage, "--hosts is needed for these actions; '*' for all hosts");
    if (with_script && grant.scripts.empty())
        return fail(Errc::usage, "--scripts is needed for these actions; '*' for all scripts");
    return line;
}

// Where the line has to go, or has gone.
std::string advice(const DispatcherConfig& config, bool appended) {
    if (appended) return fmt::format("Added to {}; send ctrl-exec-api a SIGHUP.", config.auth_policy);
    if (config.auth_policy.empty())
        return fmt::format(
            "Add the line to a file (mode 0600), name it as auth_policy in {}, and restart ctrl-exec-api.",
            config.path);
    return fmt::format("Add the line to {}, and send ctrl-exec-api a SIGHUP.", config.auth_policy);
}

}  // namespace

int dispatcher_token(const Invocation& call) {
    const std::string token = new_token();
    const auto line = make_line(call, token);
    if (!line) return report(call, line.error());
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const bool append = call.has("--append");
    if (append && config->auth_policy.empty()) {
        return report(call, fail(Errc::config, fmt::format("{}: auth_policy is not set; name the file there, "
                                                           "or leave out --append",
                                                           config->path)));
    }
    if (append) {
        const auto appended = append_to_policy(config->auth_policy, *line);
        if (!appended) return report(call, appended.error());
        log_event(LogLevel::notice, "token-append",
                  {{"FILE", config->auth_policy}, {"POLICY", call.text("--name")}});
    }
    if (call.has("--json")) {
        print_out(json::dump(json::Object{{"ok", 1}, {"token", token}, {"line", *line}}) + "\n");
        return 0;
    }
    print_out(fmt::format("Token: {}\nLine: {}\n{}\nThe token is shown this once and stored nowhere.\n",
                          token, *line, advice(*config, append)));
    return 0;
}

}  // namespace ctrlexec
