#include "core/renewal_signing.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/authority.h"
#include "core/csr.h"
#include "core/digest.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::int64_t seconds_per_day = 86400;

// The agent asks for itself: neither another key nor another name is its to have.
Result<void> check_request(const CertificateRequest& csr, const AgentRecord& agent) {
    if (agent.key.empty())
        return fail(Errc::key_mismatch,
                    fmt::format("no key of {} is recorded; ping it, or pair it again", agent.hostname));
    if (key_fingerprint(csr.spki_der()) != agent.key)
        return fail(
            Errc::key_mismatch,
            fmt::format("{} asks for a certificate for another key than the registered one", agent.hostname));
    if (csr.common_name() != agent.common_name())
        return fail(Errc::bad_request,
                    fmt::format("{} asks for a certificate for '{}'; its own is for '{}'", agent.hostname,
                                printable(csr.common_name()), agent.common_name()));
    return success();
}

}  // namespace

bool renewal_is_due(const AgentRecord& agent, int cert_days, std::int64_t authority_end, std::int64_t now) {
    const auto end = parse_openssl_time(agent.expiry);
    if (!end) return true;
    const std::int64_t whole = cert_days * seconds_per_day;
    return *end - now < whole / 2 && std::min(now + whole, authority_end) > *end;
}

Result<RenewedCertificate> sign_renewal(const DispatcherConfig& config, std::string_view hostname,
                                        std::string_view csr_pem, std::int64_t now) {
    TRY(const AgentRecord agent, Registry(config.agents_dir()).find(hostname));
    TRY(const CertificateRequest csr, CertificateRequest::from_pem(csr_pem));
    TRY_DO(check_request(csr, agent));
    TRY(Authority authority, Authority::open(config.ca_dir, config.ca_passphrase_file));
    TRY(const Certificate certificate, authority.issue(csr, agent.common_name(), config.cert_days, now));
    return RenewedCertificate{certificate.to_pem(), authority.certificate().to_pem(), certificate.serial(),
                              certificate.expiry_text()};
}

Result<void> record_renewal(const DispatcherConfig& config, std::string_view hostname,
                            const RenewedCertificate& renewed) {
    TRY(const Certificate certificate, Certificate::from_pem(renewed.pem, "the new certificate"));
    const std::string key = key_fingerprint(certificate.spki_der());
    const auto change = [&](AgentRecord& agent) {
        const auto recorded = parse_openssl_time(agent.expiry);
        const bool is_newer = !recorded || *recorded <= certificate.not_after();
        if (agent.key != key || !is_newer) return false;
        agent.certificate_serial = renewed.serial;
        agent.expiry = renewed.expiry;
        return true;
    };
    TRY_DO(Registry(config.agents_dir()).update(hostname, change));
    return success();
}

Result<FileLock> lock_renewal(const DispatcherConfig& config, const std::string& hostname) {
    const std::string directory = config.state_dir + "/renewals";
    TRY_DO(make_directories(directory, 0700));
    auto held = FileLock::acquire(fmt::format("{}/{}.lock", directory, hostname), FileLock::Wait::no);
    if (!held && held.error().code == Errc::locked)
        return fail(Errc::locked, fmt::format("another process is renewing {}", hostname));
    return held;
}

}  // namespace ctrlexec
