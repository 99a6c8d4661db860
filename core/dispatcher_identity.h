// The identity of a dispatcher.
#pragma once

#include "core/dispatcher_config.h"
#include "core/identity.h"
#include "core/result.h"

namespace ctrlexec {

// Reads the three files; the key must be the certificate's. Errc::config with the command that makes it when
// one of them is missing.
Result<Identity> load_dispatcher_identity(const DispatcherConfig& config);

// The certificate alone, for those who only name it to others.
Result<Certificate> load_dispatcher_certificate(const DispatcherConfig& config);

}  // namespace ctrlexec
