#include "net/agent_snapshot.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/agent_identity.h"
#include "core/trusted_serials.h"

namespace ctrlexec {
Result<std::shared_ptr<const AgentSnapshot>> AgentSnapshot::load(const std::string& config_path,
                                                                 const std::string& allowlist_path) {
    auto snapshot = std::make_shared<AgentSnapshot>();
    TRY(snapshot->config, AgentConfig::load(config_path));
    AgentConfig& config = snapshot->config;
    if (!allowlist_path.empty()) config.allowlist = allowlist_path;
    TRY(snapshot->allowlist, Allowlist::load(config.allowlist));
    const auto identity = load_agent_identity(config);
    if (!identity && identity.error().code == Errc::not_found) {
        return fail(
            Errc::config,
            fmt::format("not paired: {}; run 'ctrl-exec-agent request-pairing --dispatcher HOST' first",
                        identity.error().message));
    }
    if (!identity) return identity.error();
    snapshot->certificate_serial = identity->certificate.serial();
    snapshot->certificate_expiry = identity->certificate.expiry_text();
    TRY(snapshot->tls, TlsContext::create(TlsContext::Role::server, *identity));
    TRY(snapshot->revoked, SerialList::load(config.revoked_serials));
    TRY(snapshot->trusted_serials, load_trusted_serials(config.dispatcher_serial_path));
    return std::shared_ptr<const AgentSnapshot>(std::move(snapshot));
}

bool AgentSnapshot::admits(const std::string& ip) const {
    return config.allowed_ips.empty() || config.allowed_ips.contains(ip);
}

bool AgentSnapshot::trusts(const std::string& serial) const {
    return !revoked.contains(serial) &&
           std::find(trusted_serials.begin(), trusted_serials.end(), serial) != trusted_serials.end();
}

}  // namespace ctrlexec
