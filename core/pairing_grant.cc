#include "core/pairing_grant.h"

#include "core/digest.h"

namespace ctrlexec {

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
