#include "core/pairing_offer.h"

#include <fmt/format.h>

#include "core/dispatcher_id.h"
#include "core/pairing_proof.h"
#include "core/timestamp.h"

namespace ctrlexec {

Result<PairingOffer> load_pairing_offer(const DispatcherConfig& config, const Certificate& leaf) {
    const std::string path = config.ca_dir + "/ca.crt";
    TRY(const Certificate authority, Certificate::from_file(path));
    if (const auto signed_by = leaf.verify(authority, now_seconds()); !signed_by) {
        return fail(Errc::config,
                    fmt::format("agents cannot pair: {} was not signed by {}: {}; run setup-ctrl-exec",
                                config.cert, path, signed_by.error().text()));
    }
    PairingOffer offer;
    offer.ca_pem = authority.to_pem();
    offer.ca_key_digest = digest_of(authority.spki_der());
    offer.leaf_key_digest = digest_of(leaf.spki_der());
    TRY(offer.dispatcher_id, dispatcher_id(config.state_dir));
    offer.dispatcher_serial = leaf.serial();
    return offer;
}

}  // namespace ctrlexec
