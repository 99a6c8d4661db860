// Usage: ca-info
// What there is to know of the CA: name, serial, fingerprint, SPKI pin, key, validity.
#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/base64.h"
#include "core/certificate.h"
#include "core/digest.h"
#include "core/file.h"
#include "core/json.h"
#include "core/key_encryption.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

// As OpenSSL shows it: upper case, a colon after each byte.
std::string fingerprint(const std::string& der) {
    std::string text;
    for (const auto byte : sha256(der)) text += fmt::format("{}{:02X}", text.empty() ? "" : ":", byte);
    return text;
}

// In the form of curl's --pinnedpubkey.
std::string pin(const std::string& spki) {
    const auto digest = sha256(spki);
    return "sha256//" + base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

// Whether ca.key is here, and under a passphrase. The key itself is not needed to say what is signed by it.
std::string key_state(const std::string& path) {
    const auto pem = read_file(path, 64 * 1024);
    if (!pem) return pem.error().code == Errc::not_found ? "missing" : "unreadable";
    return is_encrypted_key(*pem) ? "encrypted" : "plain";
}

std::string validity(const Certificate& certificate, std::int64_t now) {
    if (now < certificate.not_before()) return "not yet valid";
    return now > certificate.not_after() ? "expired" : "valid";
}

}  // namespace

int dispatcher_ca_info(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const std::string path = config->ca_dir + "/ca.crt";
    const auto certificate = Certificate::from_file(path);
    if (!certificate && certificate.error().code == Errc::not_found) {
        return report(call, fail(Errc::config, fmt::format("{} is not there: make the CA with "
                                                           "`ctrl-exec-dispatcher setup-ca`",
                                                           path)));
    }
    if (!certificate) return report(call, certificate.error());
    const std::int64_t now = now_seconds();
    const std::string fingerprint_text = fingerprint(certificate->der());
    const std::string pin_text = pin(certificate->spki_der());
    const std::string key = key_state(config->ca_dir + "/ca.key");
    const std::string status = validity(*certificate, now);
    const std::int64_t days_left = (certificate->not_after() - now) / 86400;
    if (call.has("--json")) {
        const json::Object result{{"ok", 1},
                                  {"ca", path},
                                  {"name", certificate->common_name()},
                                  {"serial", certificate->serial()},
                                  {"fingerprint", fingerprint_text},
                                  {"spki_pin", pin_text},
                                  {"key_type", certificate->key_text()},
                                  {"key", key},
                                  {"status", status},
                                  {"not_before", openssl_time(certificate->not_before())},
                                  {"expiry", certificate->expiry_text()},
                                  {"days_left", days_left}};
        print_out(json::dump(result) + "\n");
        return 0;
    }
    print_out(
        fmt::format("Certificate:  {}\n"
                    "Name:         {}\n"
                    "Serial:       {}\n"
                    "Fingerprint:  SHA256 {}\n"
                    "SPKI pin:     {}\n"
                    "Key:          {}, {}/ca.key is {}\n"
                    "Valid from:   {}\n"
                    "Valid until:  {}\n"
                    "Status:       {}{}\n",
                    path, printable(certificate->common_name()), certificate->serial(), fingerprint_text,
                    pin_text, certificate->key_text(), config->ca_dir, key,
                    openssl_time(certificate->not_before()), certificate->expiry_text(), status,
                    status == "valid" ? fmt::format(", {} days left", days_left) : ""));
    return 0;
}

}  // namespace ctrlexec
