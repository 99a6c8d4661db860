// Usage: pairing-status
// "Paired. Certificate expires: …" and exit 0, or "Not paired. Reason: …" and exit 1.
#include <fmt/format.h>

#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/agent_identity.h"
#include "core/log.h"
#include "core/timestamp.h"

namespace ctrlexec {

int agent_pairing_status(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    const auto config = AgentConfig::load(call.text("--config", default_agent_config));
    if (!config) return report(call, config.error());
    const auto identity = load_agent_identity(*config);
    const auto valid = identity ? identity->verify(now_seconds()) : Result<void>(identity.error());
    if (!valid) {
        print_out(fmt::format("Not paired. Reason: {}\n", valid.error().text()));
        return 1;
    }
    print_out(fmt::format("Paired. Certificate expires: {}\n", identity->certificate.expiry_text()));
    return 0;
}

}  // namespace ctrlexec
