#include "net/api_snapshot.h"

#include <fmt/format.h>

namespace ctrlexec {
namespace {

Result<std::shared_ptr<TlsContext>> load_tls(const DispatcherConfig& config) {
    if (config.api_cert.empty() && config.api_key.empty()) return std::shared_ptr<TlsContext>();
    if (config.api_cert.empty() || config.api_key.empty())
        return fail(Errc::config,
                    fmt::format("{}: api_cert and api_key must both be set, or none", config.path));
    auto certificate = Certificate::from_file(config.api_cert);
    if (!certificate) return fail(Errc::config, "api_cert: " + certificate.error().text());
    auto key = PrivateKey::from_file(config.api_key);
    if (!key) return fail(Errc::config, "api_key: " + key.error().text());
    if (!certificate->holds_key_of(*key))
        return fail(Errc::config, fmt::format("{} does not belong to {}", config.api_cert, config.api_key));
    TlsContext::Options options;
    options.certificate = &*certificate;
    options.key = &*key;
    return TlsContext::create(options);
}

}  // namespace

Result<std::shared_ptr<const ApiSnapshot>> ApiSnapshot::with_identity_of_now(Runtime& runtime) const {
    auto snapshot = std::make_shared<ApiSnapshot>(*this);
    TRY(Dispatch now, Dispatch::create(runtime, config, Dispatch::Connections::kept));
    snapshot->dispatch = std::make_shared<const Dispatch>(std::move(now));
    return std::shared_ptr<const ApiSnapshot>(std::move(snapshot));
}

Result<std::shared_ptr<const ApiSnapshot>> ApiSnapshot::load(Runtime& runtime,
                                                             const std::string& config_path) {
    auto snapshot = std::make_shared<ApiSnapshot>();
    TRY(snapshot->config, DispatcherConfig::load(config_path));
    TRY(Dispatch dispatch, Dispatch::create(runtime, snapshot->config, Dispatch::Connections::kept));
    snapshot->dispatch = std::make_shared<const Dispatch>(std::move(dispatch));
    if (!snapshot->config.auth_policy.empty()) {
        TRY(snapshot->policy, AuthPolicy::load(snapshot->config.auth_policy));
    }
    TRY(snapshot->tls, load_tls(snapshot->config));
    return std::shared_ptr<const ApiSnapshot>(std::move(snapshot));
}

}  // namespace ctrlexec
