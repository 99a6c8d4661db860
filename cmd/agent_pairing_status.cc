// Usage: pairing-status
// "Paired. Certificate expires: …" and exit 0, or "Not paired. Reason: …" and exit 1; then what is under way.
#include <fmt/format.h>

#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/agent_identity.h"
#include "core/kept_request.h"
#include "core/log.h"
#include "core/staged_pairing.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

// Of a staged answer not the code: who could copy it from here would not look at the dispatcher.
std::string under_way(const AgentConfig& config) {
    if (const auto staged = load_staged_pairing(config, now_seconds())) {
        return fmt::format(
            "{} has approved request {}. Until {} it can be stored with the check code that the "
            "dispatcher shows: ctrl-exec-agent pairing-confirm CODE\n",
            staged->pairing.dispatcher, staged->pairing.reqid, iso8601(staged->until));
    }
    const auto kept = load_kept_request(config);
    if (!kept || kept->reqid.empty()) return {};
    const std::string code = kept->sas.empty() ? "" : fmt::format("; check code {}", kept->sas);
    return fmt::format("Request {} waits for approval of {} since {}{}\n", kept->reqid, kept->dispatcher,
                       kept->asked, code);
}

}  // namespace

int agent_pairing_status(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    const auto config = AgentConfig::load(call.text("--config", default_agent_config));
    if (!config) return report(call, config.error());
    const auto identity = load_agent_identity(*config);
    const auto valid = identity ? identity->verify(now_seconds()) : Result<void>(identity.error());
    if (!valid) {
        print_out(fmt::format("Not paired. Reason: {}\n{}", valid.error().text(), under_way(*config)));
        return 1;
    }
    print_out(fmt::format("Paired. Certificate expires: {}\n{}", identity->certificate.expiry_text(),
                          under_way(*config)));
    return 0;
}

}  // namespace ctrlexec
