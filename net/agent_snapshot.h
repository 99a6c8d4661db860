// Everything the agent reads from files, as one unchangeable whole: a request works with the snapshot it
// started with; a reload swaps in a new one or keeps the old.
#pragma once

#include <memory>
#include <string>

#include "core/agent_config.h"
#include "core/allowlist.h"
#include "core/result.h"
#include "core/serial_list.h"
#include "core/trusted_dispatchers.h"
#include "net/agent_host.h"
#include "net/tls_context.h"

namespace ctrlexec {

struct AgentSnapshot {
    AgentConfig config;
    Allowlist allowlist;
    TrustedDispatchers dispatchers;  // empty: nobody is trusted
    SerialList revoked;
    std::string certificate_serial;  // our own, normal form
    std::string certificate_expiry;  // OpenSSL text
    std::shared_ptr<TlsContext> tls;

    // Errc::config with the remedy for what is missing or wrong.
    static Result<std::shared_ptr<const AgentSnapshot>> load(const std::string& config_path,
                                                             const std::string& allowlist_path);

    // The same with one part as its files are now.
    Result<std::shared_ptr<const AgentSnapshot>> reread(AgentPart part) const;

    // Whether `ip` may connect, by allowed_ips.
    bool admits(const std::string& ip) const;

    // The trusted dispatcher whose serial it is, in normal form; null when that is nobody's, not trusted any
    // more or revoked.
    const TrustedDispatcher* dispatcher_of(const std::string& serial) const;

  private:
    Result<void> take_identity();
};

}  // namespace ctrlexec
