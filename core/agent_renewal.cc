#include "core/agent_renewal.h"

#include <fmt/format.h>

#include "core/agent_identity.h"
#include "core/csr.h"
#include "core/directory_lock.h"
#include "core/file.h"
#include "core/leftovers.h"

namespace ctrlexec {
namespace {

constexpr std::int64_t leftover_age = 60;  // seconds; pairing may be writing the same files

Error unacceptable(std::string why) {
    return fail(Errc::denied, std::move(why));
}

Result<void> store(const AgentConfig& config, const Renewal& renewal) {
    FileSet files;
    if (renewal.authority) TRY_DO(files.stage(config.ca, renewal.identity.authority.to_pem(), 0644));
    if (renewal.certificate) TRY_DO(files.stage(config.cert, renewal.identity.certificate.to_pem(), 0640));
    return files.commit();
}

}  // namespace

Result<std::string> renewal_request(const AgentConfig& config) {
    TRY(const Identity identity, load_agent_identity(config));
    TRY(const CertificateRequest csr,
        CertificateRequest::create(identity.key, identity.certificate.common_name()));
    return csr.to_pem();
}

Result<Renewal> check_renewal(Identity present, std::string_view certificate_pem, std::string_view ca_pem,
                              std::int64_t now) {
    TRY(Certificate certificate, Certificate::from_pem(certificate_pem, "the certificate"));
    TRY(Certificate offered, Certificate::from_pem(ca_pem, "the CA"));
    if (!certificate.holds_key_of(present.key))
        return unacceptable("the certificate is not for this agent's key");
    if (certificate.common_name() != present.certificate.common_name())
        return unacceptable("the certificate is for another name");
    if (offered.spki_der() != present.authority.spki_der())
        return unacceptable("the CA has another key than the one that this agent trusts; pair it again");
    Renewal renewal{std::move(present), false, false};
    Identity& identity = renewal.identity;
    if (offered.not_after() > identity.authority.not_after()) {
        if (const auto fits = identity.certificate.verify(offered, now); !fits)
            return unacceptable("the renewed CA does not go with the present certificate: " +
                                fits.error().text());
        identity.authority = std::move(offered);
        renewal.authority = true;
    }
    if (const auto valid = certificate.verify(identity.authority, now); !valid)
        return unacceptable(valid.error().text());
    if (certificate.der() == identity.certificate.der()) return renewal;
    if (certificate.not_after() <= identity.certificate.not_after()) {
        return unacceptable(fmt::format("the certificate is not newer than the present one, which expires {}",
                                        identity.certificate.expiry_text()));
    }
    identity.certificate = std::move(certificate);
    renewal.certificate = true;
    return renewal;
}

Result<Renewal> complete_renewal(const AgentConfig& config, std::string_view certificate_pem,
                                 std::string_view ca_pem, std::int64_t now) {
    TRY(const auto lock, DirectoryLock::acquire(directory_of(config.cert)));
    TRY(Identity present, load_agent_identity(config));
    TRY(Renewal renewal, check_renewal(std::move(present), certificate_pem, ca_pem, now));
    TRY_DO(store(config, renewal));
    for (const std::string& path : {config.cert, config.ca}) (void)remove_leftovers(path, leftover_age);
    return renewal;
}

}  // namespace ctrlexec
