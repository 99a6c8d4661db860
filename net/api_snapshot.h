// Everything the HTTP API reads from files, as one unchangeable whole: a request works with the snapshot it
// started with; a reload swaps in a new one or keeps the old.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/auth_policy.h"
#include "core/dispatcher_config.h"
#include "core/result.h"
#include "net/dispatch.h"
#include "net/runtime.h"
#include "net/tls_context.h"

namespace ctrlexec {

struct ApiSnapshot {
    DispatcherConfig config;
    std::shared_ptr<TlsContext> tls;  // null: plain HTTP
    std::shared_ptr<const Dispatch> dispatch;
    std::optional<AuthPolicy> policy;  // auth_policy

    // Errc::config with the remedy for what is missing or wrong. TLS needs api_cert and api_key, both of
    // them: with one alone the API would serve plain HTTP where TLS was meant.
    static Result<std::shared_ptr<const ApiSnapshot>> load(Runtime& runtime, const std::string& config_path);

    // The same configuration with the certificate that is in use now.
    Result<std::shared_ptr<const ApiSnapshot>> with_identity_of_now(Runtime& runtime) const;
};

}  // namespace ctrlexec
