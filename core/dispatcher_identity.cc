#include "core/dispatcher_identity.h"

#include <fmt/format.h>

#include "core/file.h"

namespace ctrlexec {
namespace {

template <typename T>
Result<T> existing(const std::string& path, std::string_view remedy) {
    auto result = T::from_file(path);
    if (!result && result.error().code == Errc::not_found)
        return fail(Errc::config, fmt::format("{} does not exist; {}", path, remedy));
    return result;
}

Result<Certificate> load_authority(const DispatcherConfig& config) {
    return existing<Certificate>(config.ca, "run 'ctrl-exec-dispatcher setup-ca' first");
}

}  // namespace

Result<Certificate> load_dispatcher_certificate(const DispatcherConfig& config) {
    return existing<Certificate>(config.cert, "run 'ctrl-exec-dispatcher setup-ctrl-exec' first");
}

Result<Identity> load_dispatcher_identity(const DispatcherConfig& config) {
    constexpr int attempts = 5;  // each may meet another rotation
    TRY(Certificate authority, load_authority(config));
    for (int i = 0; i < attempts; ++i) {
        TRY(Certificate certificate, load_dispatcher_certificate(config));
        TRY(PrivateKey key,
            existing<PrivateKey>(config.key,
                                 "restore it, or run 'ctrl-exec-dispatcher setup-ctrl-exec' for a new one"));
        if (certificate.holds_key_of(key))
            return Identity{std::move(certificate), std::move(key), std::move(authority)};
        // Between the two renames of a rotation, or after a kill there.
        auto staged = Certificate::from_file(config.cert + ".next");
        if (staged && staged->holds_key_of(key))
            return Identity{std::move(*staged), std::move(key), std::move(authority)};
    }
    return fail(Errc::crypto, fmt::format("{} does not belong to {}; restore both from the same backup",
                                          config.cert, config.key));
}

Result<Identity> load_identity_files(const DispatcherConfig& config, const std::string& certificate,
                                     const std::string& key) {
    TRY(Certificate authority, load_authority(config));
    TRY(Certificate read, Certificate::from_file(certificate));
    TRY(PrivateKey secret, PrivateKey::from_file(key));
    if (!read.holds_key_of(secret))
        return fail(Errc::crypto, fmt::format("{} does not belong to {}", certificate, key));
    return Identity{std::move(read), std::move(secret), std::move(authority)};
}

std::vector<std::int64_t> identity_stamp(const DispatcherConfig& config) {
    return {modified_at(config.cert), modified_at(config.key), modified_at(config.ca),
            modified_at(config.revoked_serials())};
}

Result<Identity> load_staged_identity(const DispatcherConfig& config) {
    return load_identity_files(config, config.cert + ".next", config.key + ".next");
}

}  // namespace ctrlexec
