// What a dispatcher proves itself with: certificate, private key, and the CA that it trusts.
#pragma once

#include "core/certificate.h"
#include "core/dispatcher_config.h"
#include "core/key.h"
#include "core/result.h"

namespace ctrlexec {

struct DispatcherIdentity {
    Certificate certificate;
    PrivateKey key;
    Certificate authority;

    // Reads the three files; the key must be the certificate's. Errc::config with the command that makes it
    // when one of them is missing.
    static Result<DispatcherIdentity> load(const DispatcherConfig& config);

    // The certificate alone, for those who only name it to others.
    static Result<Certificate> load_certificate(const DispatcherConfig& config);
};

}  // namespace ctrlexec
