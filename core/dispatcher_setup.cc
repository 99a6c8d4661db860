#include "core/dispatcher_setup.h"

#include <fmt/format.h>

#include <utility>

#include "core/authority.h"
#include "core/dispatcher_identity.h"
#include "core/file.h"
#include "core/leftovers.h"
#include "core/registry.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

constexpr const char* common_name = "ctrl-exec";

Result<SetupResult> existing_authority(const std::string& path) {
    TRY(Certificate certificate, Certificate::from_file(path));
    return SetupResult{std::move(certificate), true, false};
}

Result<Certificate> issue(Authority& authority, const PrivateKey& key) {
    TRY(const CertificateRequest request, CertificateRequest::create(key, common_name));
    return authority.issue(request, common_name, dispatcher_days, now_seconds());
}

Result<void> remove_both_leftovers(const DispatcherConfig& config) {
    TRY_DO(remove_leftovers(config.key, 0));
    return remove_leftovers(config.cert, 0);
}

// Somebody's agents may still trust the certificate that is not there any more.
Result<void> check_no_agents(const DispatcherConfig& config) {
    if (!file_exists(config.agents_dir())) return success();
    TRY(const RegistryListing listing, Registry(config.agents_dir()).list());
    if (listing.agents.empty() && listing.problems.empty()) return success();
    return fail(
        Errc::config,
        fmt::format("{} exists but {} does not, and agents are registered that know it: restore it from "
                    "a backup, or make a new one with `ctrl-exec-dispatcher setup-ctrl-exec` and pair "
                    "all agents again",
                    config.key, config.cert));
}

Result<SetupResult> existing_certificate(const DispatcherConfig& config) {
    if (!file_exists(config.key)) {
        return fail(
            Errc::config,
            fmt::format("{} exists but its key {} does not: restore it from a backup, or make a new pair "
                        "with `ctrl-exec-dispatcher setup-ctrl-exec` and pair all agents again",
                        config.cert, config.key));
    }
    TRY(Identity identity, load_dispatcher_identity(config));
    return SetupResult{std::move(identity.certificate), true, false};
}

}  // namespace

Result<FileLock> lock_setup(const DispatcherConfig& config) {
    return FileLock::acquire(config.ca_dir + "/.setup.lock", FileLock::Wait::yes);
}

Result<Certificate> issue_dispatcher_certificate(const DispatcherConfig& config, const PrivateKey& key) {
    TRY(Authority authority, Authority::open(config.ca_dir, config.ca_passphrase_file));
    return issue(authority, key);
}

Result<SetupResult> set_up_authority(const DispatcherConfig& config, bool keep, int days) {
    const std::string path = config.ca_dir + "/ca.crt";
    // Before the lock: a volume that has all may be mounted read-only.
    if (keep && file_exists(path)) return existing_authority(path);
    TRY_DO(make_directories(config.ca_dir, 0755));
    TRY(const FileLock held, lock_setup(config));
    if (keep && file_exists(path)) return existing_authority(path);
    const bool had_key = file_exists(config.ca_dir + "/ca.key");
    TRY_DO(Authority::create(config.ca_dir, config.ca_passphrase_file, config.key_type, days));
    TRY(Certificate certificate, Certificate::from_file(path));
    return SetupResult{std::move(certificate), false, had_key};
}

Result<Certificate> renew_authority(const DispatcherConfig& config, int days) {
    const std::string path = config.ca_dir + "/ca.crt";
    TRY(const FileLock held, lock_setup(config));
    TRY(Authority authority, Authority::open(config.ca_dir, config.ca_passphrase_file));
    TRY_DO(remove_leftovers(path, 0));
    TRY(Certificate renewed, authority.renewed(days, now_seconds()));
    if (renewed.not_after() <= authority.certificate().not_after()) {
        return fail(Errc::config,
                    fmt::format("{} is valid until {}, and would be until {} only; use --days "
                                "with a larger number",
                                path, authority.certificate().expiry_text(), renewed.expiry_text()));
    }
    FileSet files;
    TRY_DO(files.stage(path, renewed.to_pem(), 0644));
    if (file_exists(config.ca) && resolve_path(config.ca) != resolve_path(path)) {
        TRY(const Certificate trusted, Certificate::from_file(config.ca));
        if (trusted.spki_der() == renewed.spki_der()) TRY_DO(files.stage(config.ca, renewed.to_pem(), 0644));
    }
    TRY_DO(files.commit());
    return renewed;
}

Result<SetupResult> set_up_dispatcher_certificate(const DispatcherConfig& config) {
    if (file_exists(config.cert)) return existing_certificate(config);
    TRY(Authority authority, Authority::open(config.ca_dir, config.ca_passphrase_file));
    TRY(const FileLock held, lock_setup(config));
    if (file_exists(config.cert)) return existing_certificate(config);
    TRY_DO(remove_both_leftovers(config));
    const bool had_key = file_exists(config.key);
    if (had_key) TRY_DO(check_no_agents(config));
    TRY(const PrivateKey key,
        had_key ? PrivateKey::from_file(config.key) : PrivateKey::generate(config.key_type));
    TRY(Certificate certificate, issue(authority, key));
    if (!had_key) TRY_DO(create_file_atomic(config.key, key.to_pem(), 0600));
    TRY_DO(create_file_atomic(config.cert, certificate.to_pem(), 0644));
    return SetupResult{std::move(certificate), false, had_key};
}

Result<SetupResult> replace_dispatcher_certificate(const DispatcherConfig& config) {
    TRY(Authority authority, Authority::open(config.ca_dir, config.ca_passphrase_file));
    TRY(const FileLock held, lock_setup(config));
    TRY_DO(remove_both_leftovers(config));
    TRY(const PrivateKey key, PrivateKey::generate(config.key_type));
    TRY(Certificate certificate, issue(authority, key));
    FileSet files;
    TRY_DO(files.stage(config.key, key.to_pem(), 0600));
    TRY_DO(files.stage(config.cert, certificate.to_pem(), 0644));
    TRY_DO(files.commit());
    return SetupResult{std::move(certificate), false, false};
}

}  // namespace ctrlexec
