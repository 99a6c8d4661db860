// The contents of the certificates we sign (RFC 5280 profiles). Files, locks and policy are core/authority's.
#pragma once

#include <openssl/base.h>

#include <cstdint>
#include <string>

#include "core/result.h"

namespace ctrlexec {

struct CertificateFields {
    std::string common_name;
    std::string serial;           // hex
    std::int64_t not_before = 0;  // seconds since the epoch
    std::int64_t not_after = 0;   // likewise
};

// CA:TRUE, pathlen 0, keyCertSign and cRLSign, signed by the key it holds.
Result<bssl::UniquePtr<X509>> build_authority(const CertificateFields& fields, EVP_PKEY* key);

// The same for a CA that there is: its name and key identifier, to which what it has signed refers, stay.
Result<bssl::UniquePtr<X509>> rebuild_authority(const CertificateFields& fields, EVP_PKEY* key,
                                                X509* previous);

// CA:FALSE, digitalSignature, client and server EKU, SAN when the common name is an address or a DNS name.
Result<bssl::UniquePtr<X509>> build_leaf(const CertificateFields& fields, EVP_PKEY* subject_key,
                                         X509* authority, EVP_PKEY* authority_key);

}  // namespace ctrlexec
