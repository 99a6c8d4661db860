#include "net/agent_snapshot.h"

#include <fmt/format.h>

#include "core/agent_identity.h"
#include "core/timestamp.h"

namespace ctrlexec {
Result<std::shared_ptr<const AgentSnapshot>> AgentSnapshot::load(const std::string& config_path,
                                                                 const std::string& allowlist_path) {
    auto snapshot = std::make_shared<AgentSnapshot>();
    TRY(snapshot->config, AgentConfig::load(config_path));
    AgentConfig& config = snapshot->config;
    if (!allowlist_path.empty()) config.allowlist = allowlist_path;
    TRY(snapshot->allowlist, Allowlist::load(config.allowlist));
    TRY_DO(snapshot->take_identity());
    TRY(snapshot->revoked, SerialList::load(config.revoked_serials));
    TRY(snapshot->dispatchers, TrustedDispatchers::load(config.dispatcher_serial_path));
    return std::shared_ptr<const AgentSnapshot>(std::move(snapshot));
}

Result<void> AgentSnapshot::take_identity() {
    const auto identity = load_agent_identity(config);
    if (!identity && identity.error().code == Errc::not_found) {
        return fail(
            Errc::config,
            fmt::format("not paired: {}; run 'ctrl-exec-agent request-pairing --dispatcher HOST' first",
                        identity.error().message));
    }
    if (!identity) return identity.error();
    TRY(tls, TlsContext::create_agent(*identity));
    certificate_serial = identity->certificate.serial();
    certificate_expiry = identity->certificate.expiry_text();
    return success();
}

Result<std::shared_ptr<const AgentSnapshot>> AgentSnapshot::reread(AgentPart part) const {
    auto changed = std::make_shared<AgentSnapshot>(*this);
    if (part == AgentPart::identity) {
        TRY_DO(changed->take_identity());
    } else if (part == AgentPart::dispatchers) {
        TRY(changed->dispatchers, TrustedDispatchers::load(config.dispatcher_serial_path));
    } else {
        TRY(changed->revoked, SerialList::load(config.revoked_serials));
    }
    return std::shared_ptr<const AgentSnapshot>(std::move(changed));
}

bool AgentSnapshot::admits(const std::string& ip) const {
    return config.allowed_ips.empty() || config.allowed_ips.contains(ip);
}

const TrustedDispatcher* AgentSnapshot::dispatcher_of(const std::string& serial) const {
    return revoked.contains(serial) ? nullptr : dispatchers.find(serial, now_seconds());
}

}  // namespace ctrlexec
