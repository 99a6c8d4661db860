#include "core/certificate_builder.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

#include "core/hostname.h"
#include "core/openssl_support.h"

namespace ctrlexec {
namespace {

// The stacks of <openssl/x509v3.h> have no deleters of their own.
struct FreeNames {
    void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
struct FreeUsages {
    void operator()(EXTENDED_KEY_USAGE* usages) const { EXTENDED_KEY_USAGE_free(usages); }
};

bool add_extension(X509* certificate, int nid, void* value, bool critical) {
    return X509_add1_ext_i2d(certificate, nid, value, critical ? 1 : 0, X509V3_ADD_DEFAULT) == 1;
}

bool add_basic_constraints(X509* certificate, bool is_authority) {
    const bssl::UniquePtr<BASIC_CONSTRAINTS> constraints(BASIC_CONSTRAINTS_new());
    if (!constraints) return false;
    if (is_authority) {
        constraints->ca = ASN1_BOOLEAN_TRUE;
        constraints->pathlen = ASN1_INTEGER_new();
        if (constraints->pathlen == nullptr || ASN1_INTEGER_set_uint64(constraints->pathlen, 0) != 1)
            return false;
    }
    return add_extension(certificate, NID_basic_constraints, constraints.get(), true);
}

// Bit numbers of RFC 5280, 4.2.1.3.
constexpr int digital_signature = 0;
constexpr int key_cert_sign = 5;
constexpr int crl_sign = 6;

bool add_key_usage(X509* certificate, std::initializer_list<int> bits) {
    const bssl::UniquePtr<ASN1_BIT_STRING> usage(ASN1_BIT_STRING_new());
    if (!usage) return false;
    for (const int bit : bits) {
        if (ASN1_BIT_STRING_set_bit(usage.get(), bit, 1) != 1) return false;
    }
    return add_extension(certificate, NID_key_usage, usage.get(), true);
}

bool add_extended_key_usage(X509* certificate) {
    const std::unique_ptr<EXTENDED_KEY_USAGE, FreeUsages> usages(EXTENDED_KEY_USAGE_new());
    if (!usages) return false;
    for (const int nid : {NID_server_auth, NID_client_auth}) {
        bssl::UniquePtr<ASN1_OBJECT> usage(OBJ_dup(OBJ_nid2obj(nid)));
        if (!usage || !bssl::PushToStack(usages.get(), std::move(usage))) return false;
    }
    return add_extension(certificate, NID_ext_key_usage, usages.get(), false);
}

// RFC 5280, 4.2.1.2, method 1.
bool add_subject_key_id(X509* certificate) {
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    const bssl::UniquePtr<ASN1_OCTET_STRING> id(ASN1_OCTET_STRING_new());
    return id && X509_pubkey_digest(certificate, EVP_sha1(), digest.data(), &size) == 1 &&
           ASN1_OCTET_STRING_set(id.get(), digest.data(), static_cast<int>(size)) == 1 &&
           add_extension(certificate, NID_subject_key_identifier, id.get(), false);
}

// A CA of other make may have no key identifier; then there is nothing to refer to.
bool add_authority_key_id(X509* certificate, X509* authority) {
    const ASN1_OCTET_STRING* id = X509_get0_subject_key_id(authority);
    if (id == nullptr) return true;
    const bssl::UniquePtr<AUTHORITY_KEYID> reference(AUTHORITY_KEYID_new());
    if (!reference) return false;
    reference->keyid = ASN1_OCTET_STRING_dup(id);
    return reference->keyid != nullptr &&
           add_extension(certificate, NID_authority_key_identifier, reference.get(), false);
}

bool is_dns_name(std::string_view name) {
    constexpr std::size_t max_label = 63;
    if (!is_valid_hostname(name) || name.find('_') != std::string_view::npos) return false;
    for (std::size_t start = 0; start <= name.size();) {
        const std::size_t end = std::min(name.find('.', start), name.size());
        const std::string_view label = name.substr(start, end - start);
        if (label.empty() || label.size() > max_label || label.front() == '-' || label.back() == '-')
            return false;
        start = end + 1;
    }
    // A name that ends in a number would be read as an IPv4 address (RFC 3696, section 2).
    const std::string_view top =
        name.substr(name.rfind('.') == std::string_view::npos ? 0 : name.rfind('.') + 1);
    return top == name || top.find_first_not_of("0123456789") != std::string_view::npos;
}

// The address's bytes in network order, "" when `text` is none.
std::string address_bytes(const std::string& text) {
    std::array<char, sizeof(in6_addr)> bytes{};
    if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return {bytes.data(), sizeof(in_addr)};
    if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return {bytes.data(), sizeof(in6_addr)};
    return "";
}

bool add_alternative_name(X509* certificate, const std::string& common_name) {
    const std::string address = address_bytes(common_name);
    if (address.empty() && !is_dns_name(common_name)) return true;
    const std::string& content = address.empty() ? common_name : address;
    bssl::UniquePtr<ASN1_STRING> value(
        ASN1_STRING_type_new(address.empty() ? V_ASN1_IA5STRING : V_ASN1_OCTET_STRING));
    bssl::UniquePtr<GENERAL_NAME> name(GENERAL_NAME_new());
    const std::unique_ptr<GENERAL_NAMES, FreeNames> names(GENERAL_NAMES_new());
    if (!value || !name || !names ||
        ASN1_STRING_set(value.get(), content.data(), static_cast<ossl_ssize_t>(content.size())) != 1) {
        return false;
    }
    GENERAL_NAME_set0_value(name.get(), address.empty() ? GEN_DNS : GEN_IPADD, value.release());
    return bssl::PushToStack(names.get(), std::move(name)) &&
           add_extension(certificate, NID_subject_alt_name, names.get(), false);
}

bool set_serial(X509* certificate, const std::string& hex) {
    BIGNUM* number = nullptr;
    if (BN_hex2bn(&number, hex.c_str()) == 0) return false;
    const bssl::UniquePtr<BIGNUM> owned(number);
    const bssl::UniquePtr<ASN1_INTEGER> serial(BN_to_ASN1_INTEGER(number, nullptr));
    return serial && X509_set_serialNumber(certificate, serial.get()) == 1;
}

Error failure() {
    return crypto_failure(Errc::internal, "cannot build or sign a certificate");
}

// Everything but names, extensions and signature.
Result<bssl::UniquePtr<X509>> begin(const CertificateFields& fields, EVP_PKEY* subject_key) {
    bssl::UniquePtr<X509> certificate(X509_new());
    if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
        !set_serial(certificate.get(), fields.serial) ||
        ASN1_TIME_set_posix(X509_getm_notBefore(certificate.get()), fields.not_before) == nullptr ||
        ASN1_TIME_set_posix(X509_getm_notAfter(certificate.get()), fields.not_after) == nullptr ||
        X509_set_pubkey(certificate.get(), subject_key) != 1) {
        return failure();
    }
    return certificate;
}

// The name is set already.
bool finish_authority(X509* raw, EVP_PKEY* key, X509* previous) {
    const ASN1_OCTET_STRING* id = previous == nullptr ? nullptr : X509_get0_subject_key_id(previous);
    const bool has_id = id == nullptr ? add_subject_key_id(raw)
                                      : add_extension(raw, NID_subject_key_identifier,
                                                      const_cast<ASN1_OCTET_STRING*>(id), false);
    return has_id && X509_set_issuer_name(raw, X509_get_subject_name(raw)) == 1 &&
           add_basic_constraints(raw, true) && add_key_usage(raw, {key_cert_sign, crl_sign}) &&
           X509_sign(raw, key, signature_digest(key)) > 0;
}

}  // namespace

Result<bssl::UniquePtr<X509>> build_authority(const CertificateFields& fields, EVP_PKEY* key) {
    TRY(bssl::UniquePtr<X509> certificate, begin(fields, key));
    TRY_DO(set_common_name(X509_get_subject_name(certificate.get()), fields.common_name));
    if (!finish_authority(certificate.get(), key, nullptr)) return failure();
    return certificate;
}

Result<bssl::UniquePtr<X509>> rebuild_authority(const CertificateFields& fields, EVP_PKEY* key,
                                                X509* previous) {
    TRY(bssl::UniquePtr<X509> certificate, begin(fields, key));
    const bool named = X509_set_subject_name(certificate.get(), X509_get_subject_name(previous)) == 1;
    if (!named || !finish_authority(certificate.get(), key, previous)) return failure();
    return certificate;
}

Result<bssl::UniquePtr<X509>> build_leaf(const CertificateFields& fields, EVP_PKEY* subject_key,
                                         X509* authority, EVP_PKEY* authority_key) {
    TRY(bssl::UniquePtr<X509> certificate, begin(fields, subject_key));
    TRY_DO(set_common_name(X509_get_subject_name(certificate.get()), fields.common_name));
    X509* raw = certificate.get();
    if (X509_set_issuer_name(raw, X509_get_subject_name(authority)) != 1 ||
        !add_basic_constraints(raw, false) || !add_key_usage(raw, {digital_signature}) ||
        !add_extended_key_usage(raw) || !add_subject_key_id(raw) || !add_authority_key_id(raw, authority) ||
        !add_alternative_name(raw, fields.common_name) ||
        X509_sign(raw, authority_key, signature_digest(authority_key)) <= 0) {
        return failure();
    }
    return certificate;
}

}  // namespace ctrlexec
