#include "core/dispatcher_identity.h"

#include <fmt/format.h>

namespace ctrlexec {
namespace {

template <typename T>
Result<T> existing(const std::string& path, std::string_view remedy) {
    auto result = T::from_file(path);
    if (!result && result.error().code == Errc::not_found)
        return fail(Errc::config, fmt::format("{} does not exist; {}", path, remedy));
    return result;
}

}  // namespace

Result<Certificate> load_dispatcher_certificate(const DispatcherConfig& config) {
    return existing<Certificate>(config.cert, "run 'ctrl-exec-dispatcher setup-ctrl-exec' first");
}

Result<Identity> load_dispatcher_identity(const DispatcherConfig& config) {
    TRY(Certificate authority, existing<Certificate>(config.ca, "run 'ctrl-exec-dispatcher setup-ca' first"));
    TRY(Certificate certificate, load_dispatcher_certificate(config));
    TRY(PrivateKey key,
        existing<PrivateKey>(config.key,
                             "restore it, or run 'ctrl-exec-dispatcher setup-ctrl-exec' for a new one"));
    if (!certificate.holds_key_of(key)) {
        return fail(Errc::crypto, fmt::format("{} does not belong to {}; restore both from the same backup",
                                              config.cert, config.key));
    }
    return Identity{std::move(certificate), std::move(key), std::move(authority)};
}

}  // namespace ctrlexec
