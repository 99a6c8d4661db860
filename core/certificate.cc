#include "core/certificate.h"

#include <fmt/format.h>
#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <limits>

#include "core/digest.h"
#include "core/file.h"
#include "core/openssl_support.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

// RFC 5280, 4.1.2.2. Zero is not refused: nothing depends on it.
bool serial_is_valid(const X509* certificate) {
    constexpr int max_octets = 20;
    const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
    return ASN1_STRING_type(serial) == V_ASN1_INTEGER && ASN1_STRING_length(serial) <= max_octets;
}

// What makes a certificate ambiguous or unusable for us whoever signed it; "" when nothing does.
std::string defect(X509* certificate) {
    std::int64_t time = 0;
    if (ASN1_TIME_to_posix(X509_get0_notBefore(certificate), &time) != 1 ||
        ASN1_TIME_to_posix(X509_get0_notAfter(certificate), &time) != 1) {
        return "has a broken validity date";
    }
    if (!serial_is_valid(certificate)) return "has a serial number that is negative or over 20 octets";
    if (!common_name_of(X509_get_subject_name(certificate))) {
        return "has an ambiguous common name (several, or with control characters)";
    }
    if (const bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(certificate)); !key) {
        return "holds a key of an unknown kind";
    }
    return "";
}

// A certificate with an EKU is limited to it, one with a keyUsage likewise; each of our peers is a client in
// one connection and a server in the next, and TLS 1.3 needs signatures from both.
std::string purpose_problem(X509* certificate) {
    constexpr std::uint32_t both = XKU_SSL_CLIENT | XKU_SSL_SERVER;
    if ((X509_get_extended_key_usage(certificate) & both) != both) {
        return "its extended key usage does not allow both TLS client and TLS server";
    }
    if ((X509_get_key_usage(certificate) & X509v3_KU_DIGITAL_SIGNATURE) == 0) {
        return "its key usage does not allow digital signatures";
    }
    return "";
}

// `depth` is 0 for the certificate itself, above that for the CA's.
std::string verify_problem(int code, int depth, const Certificate& leaf, const Certificate& authority,
                           std::int64_t now) {
    const Certificate& subject = depth == 0 ? leaf : authority;
    const std::string_view who = depth == 0 ? "certificate" : "CA certificate";
    switch (code) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return fmt::format("{} has expired ({}, {} ago)", who, subject.expiry_text(),
                               rough_duration(now - subject.not_after()));
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return fmt::format("{} is not valid before {}: is a clock wrong? The one here is {} behind that",
                               who, openssl_time(subject.not_before()),
                               rough_duration(subject.not_before() - now));
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            return "certificate is self-signed, not signed by this CA";
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_CERT_UNTRUSTED:
            return "certificate is signed by another CA";
        case X509_V_ERR_CERT_SIGNATURE_FAILURE:  // every deployment's CA has the same name, so this is the
                                                 // usual one
            return "certificate is signed by another CA of the same name, or was changed after it was signed";
        default:
            return fmt::format("{} is not valid: {}", who, X509_verify_cert_error_string(code));
    }
}

}  // namespace

void Certificate::Free::operator()(x509_st* cert) const {
    X509_free(cert);
}

Certificate Certificate::from_native(x509_st* owned) {
    return Certificate(owned);
}

Result<Certificate> Certificate::from_pem(std::string_view pem, const std::string& name) {
    TRY(const PemBlock block, read_pem(pem, name));
    if (block.label != "CERTIFICATE") {
        return fail(Errc::crypto, fmt::format("{}: holds a {}, not a CERTIFICATE; correct the path", name,
                                              printable(block.label)));
    }
    const std::uint8_t* end = block.der.get();
    bssl::UniquePtr<X509> certificate(d2i_X509(nullptr, &end, static_cast<long>(block.size)));
    if (!certificate || end != block.der.get() + block.size) {
        return crypto_failure(Errc::crypto, fmt::format("{}: not a valid X.509 certificate", name));
    }
    if (const std::string problem = defect(certificate.get()); !problem.empty()) {
        return crypto_failure(Errc::crypto, fmt::format("{}: the certificate {}", name, problem));
    }
    return Certificate(certificate.release());
}

Result<Certificate> Certificate::from_file(const std::string& path) {
    TRY(const std::string pem, read_file(path, max_pem_bytes));
    return from_pem(pem, path);
}

std::string Certificate::to_pem() const {
    return written_pem([this](BIO* bio) { return PEM_write_bio_X509(bio, cert_.get()); });
}

std::string Certificate::der() const {
    std::uint8_t* bytes = nullptr;
    const int size = i2d_X509(cert_.get(), &bytes);
    const bssl::UniquePtr<std::uint8_t> owned(bytes);
    if (size < 0) throw std::bad_alloc();
    return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

std::string Certificate::common_name() const {
    return common_name_of(X509_get_subject_name(cert_.get())).value_or("");
}

std::string Certificate::serial() const {
    const ASN1_INTEGER* serial = X509_get0_serialNumber(cert_.get());
    const std::string digits =
        to_hex({ASN1_STRING_get0_data(serial), static_cast<std::size_t>(ASN1_STRING_length(serial))});
    // The sign keeps a negative number from ever equalling a trusted serial.
    return ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER ? "-" + digits : digits.empty() ? "00" : digits;
}

std::int64_t Certificate::not_before() const {
    std::int64_t time = 0;
    const bool known = ASN1_TIME_to_posix(X509_get0_notBefore(cert_.get()), &time) == 1;
    return known ? time : std::numeric_limits<std::int64_t>::max();
}

std::int64_t Certificate::not_after() const {
    std::int64_t time = 0;
    const bool known = ASN1_TIME_to_posix(X509_get0_notAfter(cert_.get()), &time) == 1;
    return known ? time : 0;
}

std::string Certificate::expiry_text() const {
    return openssl_time(not_after());
}

std::string Certificate::spki_der() const {
    const bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(cert_.get()));
    return spki_of(key.get());
}

std::string Certificate::key_text() const {
    const bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(cert_.get()));
    const int kind = key ? EVP_PKEY_id(key.get()) : EVP_PKEY_NONE;
    if (kind == EVP_PKEY_ED25519) return "Ed25519";
    if (kind == EVP_PKEY_EC) return EVP_PKEY_bits(key.get()) == 256 ? "ECDSA P-256" : "ECDSA";
    return kind == EVP_PKEY_RSA ? fmt::format("RSA {}", EVP_PKEY_bits(key.get())) : "unknown";
}

bool Certificate::holds_key_of(const PrivateKey& key) const {
    const bssl::UniquePtr<EVP_PKEY> own(X509_get_pubkey(cert_.get()));
    const bool same = own && EVP_PKEY_cmp(own.get(), key.native()) == 1;
    take_crypto_error();
    return same;
}

std::string Certificate::defect_as_authority() const {
    return authority_problem(cert_.get());
}

Result<void> Certificate::verify(const Certificate& authority, std::int64_t now) const {
    if (const std::string problem = authority_problem(authority.native()); !problem.empty()) {
        return crypto_failure(Errc::crypto, "the CA certificate " + problem);
    }
    const bssl::UniquePtr<X509_STORE> store(X509_STORE_new());
    const bssl::UniquePtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
    if (!store || !context || X509_STORE_add_cert(store.get(), authority.native()) != 1 ||
        X509_STORE_CTX_init(context.get(), store.get(), cert_.get(), nullptr) != 1) {
        return crypto_failure(Errc::internal, "cannot set up certificate verification");
    }
    X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_time_posix(parameters, now);
    // The deployment's CA is the trust anchor also when a company's root has signed it.
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_verify_cert(context.get()) != 1) {
        const int code = X509_STORE_CTX_get_error(context.get());
        const int depth = X509_STORE_CTX_get_error_depth(context.get());
        return crypto_failure(Errc::crypto, verify_problem(code, depth, *this, authority, now));
    }
    std::string problem = defect(cert_.get());
    if (problem.empty()) problem = purpose_problem(cert_.get());
    if (!problem.empty()) return crypto_failure(Errc::crypto, "certificate cannot be used: " + problem);
    return success();
}

}  // namespace ctrlexec
