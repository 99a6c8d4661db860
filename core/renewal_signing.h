// A new certificate for an agent that has one: when, and for which request.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/dispatcher_config.h"
#include "core/file.h"
#include "core/registry.h"
#include "core/result.h"

namespace ctrlexec {

// Less than half of cert_days is left, and a certificate made now would be valid longer: one never outlives
// the CA, which expires at `authority_end` (seconds since the epoch).
bool renewal_is_due(const AgentRecord& agent, int cert_days, std::int64_t authority_end, std::int64_t now);

struct RenewedCertificate {
    std::string pem;
    std::string authority_pem;
    std::string serial;
    std::string expiry;  // OpenSSL text
};

// Signs only if the request's key and common name are those registered for `hostname`; Errc::key_mismatch and
// Errc::bad_request.
Result<RenewedCertificate> sign_renewal(const DispatcherConfig& config, std::string_view hostname,
                                        std::string_view csr_pem, std::int64_t now);

// The agent has taken it: its record says so, unless it was paired anew meanwhile.
Result<void> record_renewal(const DispatcherConfig& config, std::string_view hostname,
                            const RenewedCertificate& certificate);

// Held while an agent is being renewed; Errc::locked when another process is at it.
Result<FileLock> lock_renewal(const DispatcherConfig& config, const std::string& hostname);

}  // namespace ctrlexec
