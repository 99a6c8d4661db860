// PKCS#10 certificate requests (RFC 2986), and the 6-digit pairing code that both operators compare.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "core/key.h"
#include "core/result.h"

struct X509_req_st;  // BoringSSL's X509_REQ

namespace ctrlexec {

inline constexpr std::size_t max_csr_bytes = 10240;  // of PEM text; the baseline's limit

class CertificateRequest {
  public:
    // Subject CN=common_name, signed with the key (SHA-256).
    static Result<CertificateRequest> create(const PrivateKey& key, const std::string& common_name);

    // Hostile input: bounded, exactly one request, signed by the key it holds, key type and size that
    // PrivateKey::from_pem would accept too.
    static Result<CertificateRequest> from_pem(std::string_view pem);

    std::string to_pem() const;
    std::string der() const;
    std::string common_name() const;
    std::string spki_der() const;

    X509_req_st* native() const { return request_.get(); }  // borrowed

  private:
    struct Free {
        void operator()(X509_req_st* request) const;
    };
    explicit CertificateRequest(X509_req_st* owned) : request_(owned) {}
    std::unique_ptr<X509_req_st, Free> request_;
};

// SHA-256 of the PEM text exactly as sent, first four bytes big-endian modulo 1,000,000, zero-padded.
std::string pairing_code(std::string_view csr_pem);

}  // namespace ctrlexec
