// TLS towards agents: our identity, their CA, and whose certificates are revoked.
#pragma once

#include <memory>

#include "core/dispatcher_config.h"
#include "core/identity.h"
#include "core/result.h"
#include "net/tls_context.h"

namespace ctrlexec {

Result<std::shared_ptr<TlsContext>> dispatcher_tls(const DispatcherConfig& config, const Identity& identity);

}  // namespace ctrlexec
