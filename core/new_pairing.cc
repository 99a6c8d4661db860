#include "core/new_pairing.h"

#include <fmt/format.h>

#include "core/certificate.h"
#include "core/digest.h"
#include "core/directory_lock.h"
#include "core/file.h"
#include "core/kept_request.h"
#include "core/staged_pairing.h"
#include "core/trusted_dispatchers.h"

namespace ctrlexec {
namespace {

// Those that stay trusted beside the new one: those of the same CA, if they can be read at all.
TrustedDispatchers staying_dispatchers(const AgentConfig& config, const Certificate& authority) {
    auto trusted = TrustedDispatchers::load(config.dispatcher_serial_path);
    if (!trusted) return {};
    const auto present = Certificate::from_file(config.ca);
    if (!present || present->spki_der() != authority.spki_der()) trusted->clear();
    return std::move(*trusted);
}

// Old dispatchers have no id, and there is only one of them for a CA.
std::string id_of(const NewPairing& pairing, const Certificate& authority) {
    if (!pairing.dispatcher_id.empty()) return pairing.dispatcher_id;
    return fmt::format("{}-{}", legacy_dispatcher, key_fingerprint(authority.spki_der()).substr(0, 12));
}

}  // namespace

std::string_view trust_word(PairingProof proof) {
    switch (proof) {
        case PairingProof::check_code:
            return "sas";
        case PairingProof::pin:
            return "pin";
        case PairingProof::token:
            return "token";
        default:
            return "tofu";
    }
}

Result<void> check_pairing(const NewPairing& pairing, std::int64_t now) {
    TRY(const Certificate certificate,
        Certificate::from_pem(pairing.certificate_pem, "the certificate in the answer"));
    TRY(const Certificate authority, Certificate::from_pem(pairing.ca_pem, "the CA in the answer"));
    TRY(const PrivateKey key, PrivateKey::from_pem(pairing.key_pem, "the new key"));
    if (!certificate.holds_key_of(key))
        return fail(Errc::bad_answer, "the certificate in the answer is not for our key");
    if (const auto verified = certificate.verify(authority, now); !verified) {
        return fail(Errc::bad_answer,
                    "the certificate in the answer is not acceptable: " + verified.error().text());
    }
    return success();
}

Result<void> store_pairing(const AgentConfig& config, const NewPairing& pairing, std::int64_t now) {
    TRY_DO(check_pairing(pairing, now));
    TRY(const Certificate certificate, Certificate::from_pem(pairing.certificate_pem, "the certificate"));
    TRY(const Certificate authority, Certificate::from_pem(pairing.ca_pem, "the CA"));
    TRY(const auto lock, DirectoryLock::acquire(directory_of(config.dispatcher_serial_path)));
    TrustedDispatchers trusted = staying_dispatchers(config, authority);
    TRY_DO(trusted.pair(id_of(pairing, authority), pairing.dispatcher_serial, now));
    FileSet files;
    TRY_DO(files.stage(config.key, pairing.key_pem, 0640));
    TRY_DO(files.stage(config.ca, authority.to_pem(), 0644));
    TRY_DO(trusted.stage(files, config.dispatcher_serial_path));
    TRY_DO(files.stage(config.cert, certificate.to_pem(), 0640));
    TRY_DO(files.commit());
    // That one of them stays is no reason to say that we are not paired.
    (void)remove_file(staged_pairing_path(config));
    (void)remove_file(kept_request_path(config));
    return success();
}

}  // namespace ctrlexec
