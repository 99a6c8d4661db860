// What a dispatcher shows of itself in the first answer of pairing, version 2, before anything is decided.
#pragma once

#include <string>

#include "core/certificate.h"
#include "core/dispatcher_config.h"
#include "core/result.h"

namespace ctrlexec {

struct PairingOffer {
    std::string ca_pem;
    std::string ca_key_digest;    // SHA-256 of its SubjectPublicKeyInfo: what a pin says
    std::string leaf_key_digest;  // likewise of the certificate of the pairing port
    std::string dispatcher_id;
    std::string dispatcher_serial;  // normal form, as sent
};

// `leaf` is what the pairing port shows. Errc::config, with the remedy, when our CA has not signed it: no
// agent would believe us.
Result<PairingOffer> load_pairing_offer(const DispatcherConfig& config, const Certificate& leaf);

}  // namespace ctrlexec
