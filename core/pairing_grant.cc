#include "core/pairing_grant.h"

#include <algorithm>

#include "core/digest.h"
#include "core/dispatcher_identity.h"
#include "core/dispatcher_rotation.h"
#include "core/rotation_state.h"
#include "core/serial_list.h"

namespace ctrlexec {
namespace {

constexpr std::int64_t day = 86400;  // to be called for the first time

// Switched from, or about to be, and still good to introduce the one in use with. Not when that was not made
// by a rotation, but set up anew: who does that is done with all before.
Result<bool> is_kept(const DispatcherConfig& config, const std::string& serial, const std::string& in_use,
                     std::int64_t now) {
    TRY(const SerialList revoked, SerialList::load(config.revoked_serials()));
    if (revoked.contains(serial)) return false;
    TRY(const RotationState state, RotationState::load(config.rotation_file()));
    if (state.current_serial != in_use && state.pending_serial != in_use) return false;
    if (!state.in_overlap(now) && state.current_serial != serial) return false;
    if (std::find(state.kept.begin(), state.kept.end(), serial) == state.kept.end()) return false;
    const auto identity = load_kept_identity(config, serial);
    return identity && identity->certificate.not_after() > now + day;
}

}  // namespace

Result<std::string> check_offer(const DispatcherConfig& config, const PairingRequest& request,
                                std::int64_t now) {
    if (request.version < 2) return std::string("current");
    TRY(const Certificate authority, Certificate::from_file(config.ca_dir + "/ca.crt"));
    TRY(const Certificate dispatcher, load_dispatcher_certificate(config));
    const bool same_ca = request.ca_digest == to_hex(sha256(authority.to_pem()));
    if (same_ca && request.dispatcher_serial == dispatcher.serial()) return std::string("current");
    TRY(const bool kept, is_kept(config, request.dispatcher_serial, dispatcher.serial(), now));
    if (same_ca && kept) return std::string("pending");
    return fail(
        Errc::busy,
        "the dispatcher's certificate or CA was replaced after the agent had asked; let it ask again");
}

AgentRecord record_of(const PairingRequest& request, const Certificate& certificate,
                      const std::string& dispatcher_serial, const std::string& paired) {
    AgentRecord record;
    record.hostname = request.hostname;
    record.ip = request.ip;
    record.paired = paired;
    record.expiry = certificate.expiry_text();
    record.key = key_fingerprint(certificate.spki_der());
    record.certificate_serial = certificate.serial();
    record.reqid = request.id;
    record.dispatcher_serial = dispatcher_serial;
    record.serial_confirmed = paired;
    record.agent_port = request.agent_port;
    record.lookup_by = request.lookup_by;
    return record;
}

json::Object approved_answer(const PairingRequest& request, const Certificate& certificate,
                             const std::string& ca_pem, const std::string& dispatcher_serial,
                             const std::string& dispatcher_id) {
    json::Object answer{
        {"status", "approved"},   {"cert", certificate.to_pem()},           {"ca", ca_pem},
        {"nonce", request.nonce}, {"dispatcher_serial", dispatcher_serial}, {"dispatcher_id", dispatcher_id}};
    if (request.version >= 2) answer.push_back({"pair_v", 2});
    return answer;
}

}  // namespace ctrlexec
