// Everything the agent reads from files, as one unchangeable whole: a request works with the snapshot it
// started with; a reload swaps in a new one or keeps the old.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/agent_config.h"
#include "core/allowlist.h"
#include "core/result.h"
#include "core/serial_list.h"
#include "net/tls_context.h"

namespace ctrlexec {

struct AgentSnapshot {
    AgentConfig config;
    Allowlist allowlist;
    std::vector<std::string> trusted_serials;  // normal form; empty: nobody is trusted
    SerialList revoked;
    std::string certificate_serial;  // our own, normal form
    std::string certificate_expiry;  // OpenSSL text
    std::shared_ptr<TlsContext> tls;

    // Errc::config with the remedy for what is missing or wrong.
    static Result<std::shared_ptr<const AgentSnapshot>> load(const std::string& config_path,
                                                             const std::string& allowlist_path);

    // Whether `ip` may connect, by allowed_ips.
    bool admits(const std::string& ip) const;

    // A trusted dispatcher that is not revoked. `serial` in normal form.
    bool trusts(const std::string& serial) const;
};

}  // namespace ctrlexec
