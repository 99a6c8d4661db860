#include "core/kept_request.h"

#include "core/csr.h"
#include "core/file.h"
#include "core/own_file.h"
#include "core/pairing_queue.h"
#include "core/utf8.h"

namespace ctrlexec {

std::string kept_request_path(const AgentConfig& config) {
    return directory_of(config.key) + "/.pairing-request.json";
}

Result<KeptRequest> load_kept_request(const AgentConfig& config) {
    const std::string path = kept_request_path(config);
    TRY(const json::Value file, read_own_file(path));
    KeptRequest request;
    request.key_pem = file.text("key");
    request.csr_pem = file.text("csr");
    const auto key = PrivateKey::from_pem(request.key_pem, path);
    const auto csr = CertificateRequest::from_pem(request.csr_pem);
    if (!key || !csr) return fail(Errc::config, path + " holds no key and certificate request");
    if (key->spki_der() != csr->spki_der())
        return fail(Errc::config, path + ": the certificate request is for another key");
    if (csr->common_name() != config.hostname)
        return fail(Errc::config, path + ": the certificate request is for another host name");
    if (key->type() != config.key_type)
        return fail(Errc::config, path + ": the key is not of the type that key_type names");
    request.reqid = file.text("reqid");
    if (!is_valid_reqid(request.reqid)) request.reqid.clear();
    request.dispatcher = printable(file.text("dispatcher"));
    request.sas = printable(file.text("sas"));
    request.asked = printable(file.text("asked"));
    return request;
}

Result<KeptRequest> make_request(const PrivateKey& key, const std::string& hostname) {
    TRY(const CertificateRequest csr, CertificateRequest::create(key, hostname));
    KeptRequest request;
    request.key_pem = key.to_pem();
    request.csr_pem = csr.to_pem();
    return request;
}

Result<void> keep_request(const AgentConfig& config, const KeptRequest& request) {
    const json::Value file(json::Object{{"key", request.key_pem},
                                        {"csr", request.csr_pem},
                                        {"dispatcher", request.dispatcher},
                                        {"reqid", request.reqid},
                                        {"sas", request.sas},
                                        {"asked", request.asked}});
    return write_file_atomic(kept_request_path(config), json::dump(file) + "\n", 0600);
}

}  // namespace ctrlexec
