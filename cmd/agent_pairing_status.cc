// Usage: pairing-status
// "Paired. Certificate expires: …" and exit 0, or "Not paired. Reason: …" and exit 1.
#include <fmt/format.h>

#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/agent_config.h"
#include "core/certificate.h"
#include "core/file.h"
#include "core/log.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

// The certificate, when key and CA belong to it and it is valid now.
Result<Certificate> check(const AgentConfig& config) {
    if (!file_exists(config.cert))
        return fail(Errc::not_found, fmt::format("{} does not exist", config.cert));
    TRY(Certificate certificate, Certificate::from_file(config.cert));
    TRY(const PrivateKey key, PrivateKey::from_file(config.key));
    if (!certificate.holds_key_of(key)) {
        return fail(Errc::crypto, fmt::format("{} does not belong to {}", config.cert, config.key));
    }
    TRY(const Certificate authority, Certificate::from_file(config.ca));
    TRY_DO(certificate.verify(authority, now_seconds()));
    return certificate;
}

}  // namespace

int agent_pairing_status(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    const auto config = AgentConfig::load(call.text("--config", default_agent_config));
    if (!config) return report(call, config.error());
    const auto certificate = check(*config);
    if (!certificate) {
        print_out(fmt::format("Not paired. Reason: {}\n", certificate.error().text()));
        return 1;
    }
    print_out(fmt::format("Paired. Certificate expires: {}\n", certificate->expiry_text()));
    return 0;
}

}  // namespace ctrlexec
