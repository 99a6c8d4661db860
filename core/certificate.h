// X.509 certificates: reading, the facts we use of them, and verification against the deployment's own CA.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/key.h"
#include "core/result.h"

struct x509_st;  // BoringSSL's X509

namespace ctrlexec {

class Certificate {
  public:
    // At most 64 KiB, exactly one certificate; `name` (a path or "peer") is used in error messages only.
    static Result<Certificate> from_pem(std::string_view pem, const std::string& name);
    static Result<Certificate> from_file(const std::string& path);
    static Certificate from_native(x509_st* owned);  // takes ownership

    std::string to_pem() const;
    std::string der() const;
    std::string common_name() const;  // of the subject, "" when absent
    std::string serial() const;       // normal form, see core/serial.h
    std::int64_t not_before() const;  // seconds since the epoch
    std::int64_t not_after() const;   // seconds since the epoch
    std::string expiry_text() const;  // "Jun  7 16:28:00 2027 GMT"
    std::string spki_der() const;     // DER SubjectPublicKeyInfo
    std::string key_text() const;     // "ECDSA P-256", "RSA 4096", "Ed25519"
    bool holds_key_of(const PrivateKey& key) const;

    // Why it cannot be a CA, in words that follow its name ("is not a CA certificate …"); "" when it can.
    std::string defect_as_authority() const;

    // Chain, dates at `now` (epoch seconds) and, when the certificate has an EKU, that it allows both client
    // and server use. v1 certificates without extensions pass: old peers have them. The error's words tell
    // apart: expired, not yet valid, signed by another CA, not a CA.
    Result<void> verify(const Certificate& authority, std::int64_t now) const;

    x509_st* native() const { return cert_.get(); }  // borrowed

  private:
    struct Free {
        void operator()(x509_st* cert) const;
    };
    explicit Certificate(x509_st* owned) : cert_(owned) {}
    std::unique_ptr<x509_st, Free> cert_;
};

}  // namespace ctrlexec
