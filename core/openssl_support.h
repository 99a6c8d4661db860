// What the units that work with keys and certificates share of libcrypto. Their .cc files include it, headers
// do not: the rest of the program sees no OpenSSL type.
#pragma once

#include <openssl/base.h>
#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/mem.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace ctrlexec {

inline constexpr std::size_t max_pem_bytes = 64 * 1024;  // of a key or certificate file

// The first reason in this thread's error queue, "" when there is none. Empties the queue: what is left there
// would be taken for the cause of a later, unrelated failure.
std::string take_crypto_error();

// `message` with the error queue's reason as detail.
Error crypto_failure(Errc code, std::string message);

struct PemBlock {
    std::string label;  // "CERTIFICATE", "PRIVATE KEY", …
    bool encrypted = false;
    bssl::UniquePtr<std::uint8_t> der;  // zeroed when freed: it may be a private key
    std::size_t size = 0;

    CBS reader() const;
};

// Reads text that holds exactly one PEM block (RFC 7468). Explanatory text in front of it is skipped, and so
// is the EC PARAMETERS block that `openssl ecparam -genkey` writes first; after it only white space may
// follow. `name` is used in messages only; `limit` is in bytes (Errc::too_large), other errors are
// Errc::crypto.
Result<PemBlock> read_pem(std::string_view pem, const std::string& name, std::size_t limit = max_pem_bytes);

// What a memory BIO still holds.
std::string text_of(const BIO* bio);

// The text a PEM_write_bio_… call, given to it as `write(BIO*)`, makes. Only exhaustion can make it fail.
template <typename Write>
std::string written_pem(Write write) {
    const bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
    if (!bio || write(bio.get()) != 1) throw std::bad_alloc();
    return text_of(bio.get());
}

// DER SubjectPublicKeyInfo; "" when `key` is null.
std::string spki_of(const EVP_PKEY* key);

// Why we do not work with a key, "" when we do: EC P-256, Ed25519 and RSA of 2048 to 8192 bits.
std::string key_problem(const EVP_PKEY* key);

// The digest a key signs with; null for Ed25519, which has its own.
const EVP_MD* signature_digest(const EVP_PKEY* key);

// The subject's common name, "" when there is none. nullopt for names that two readers may understand
// differently: several common names, NUL or other control characters, an encoding that is none.
std::optional<std::string> common_name_of(const X509_NAME* name);

// Why a certificate cannot be the CA, "" when it can: basicConstraints CA:TRUE, and a keyUsage, when there is
// one, with keyCertSign.
std::string authority_problem(X509* certificate);

// Adds CN=common_name. Errc::bad_request for an empty one, one over 64 bytes (RFC 5280, appendix A.1,
// ub-common-name), invalid UTF-8 or control characters.
Result<void> set_common_name(X509_NAME* name, const std::string& common_name);

}  // namespace ctrlexec
