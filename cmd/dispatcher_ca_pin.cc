// Usage: ca-pin
// The CA's pin, by which an agent knows its dispatcher before it has seen it, and the agent's command.
#include <fmt/format.h>

#include "cmd/agent_command.h"
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/certificate.h"
#include "core/join_token.h"
#include "core/json.h"
#include "core/pairing_proof.h"

namespace ctrlexec {

int dispatcher_ca_pin(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const std::string path = config->ca_dir + "/ca.crt";
    const auto authority = Certificate::from_file(path);
    if (!authority && authority.error().code == Errc::not_found) {
        return report(call, fail(Errc::config, fmt::format("{} is not there: make the CA with "
                                                           "`ctrl-exec-dispatcher setup-ca`",
                                                           path)));
    }
    if (!authority) return report(call, authority.error());
    const std::string pin = CaPin{digest_of(authority->spki_der())}.text();
    const std::string command = agent_command(*config, "--ca-pin " + pin);
    if (call.has("--json")) {
        print_out(json::dump(json::Object{{"ok", 1}, {"pin", pin}, {"command", command}}) + "\n");
    } else {
        print_out(fmt::format("{}\nOn the agent:\n  {}\n", pin, command));
    }
    return 0;
}

}  // namespace ctrlexec
