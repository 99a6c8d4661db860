// What an agent proves itself with: certificate, private key, and the CA that it trusts.
#pragma once

#include "core/agent_config.h"
#include "core/certificate.h"
#include "core/key.h"
#include "core/result.h"

namespace ctrlexec {

struct AgentIdentity {
    Certificate certificate;
    PrivateKey key;
    Certificate authority;

    // Reads the three files; the key must be the certificate's, and the CA must have signed it.
    // Errc::not_found when there is no certificate: the agent is not paired. Errc::config for everything
    // else, with the remedy.
    static Result<AgentIdentity> load(const AgentConfig& config);

    // Whether the certificate is valid at `now` (epoch seconds) under this CA.
    Result<void> verify(std::int64_t now) const { return certificate.verify(authority, now); }
};

}  // namespace ctrlexec
