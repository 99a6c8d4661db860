// Certificates. After the byte 'd' comes DER, after anything else PEM text. What is accepted has a serial in
// normal form and dates that can be written, and survives being written; signed by a CA of this harness, for
// a fuzzer cannot, it passes verification only within its dates and for both ends of a connection.
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <memory>
#include <set>
#include <string>

#include "core/certificate.h"
#include "core/certificate_builder.h"
#include "core/openssl_support.h"
#include "core/serial.h"
#include "core/timestamp.h"
#include "core/utf8.h"
#include "test/fuzz/crypto.h"
#include "test/fuzz/harness.h"

namespace ctrlexec::fuzz {
namespace {

constexpr std::int64_t first_second = -62167219200;  // 0000-01-01T00:00:00Z
constexpr std::int64_t last_second = 253402300799;   // 9999-12-31T23:59:59Z

const Certificate& test_authority() {
    static const Certificate authority = [] {
        auto built = build_authority({"Fuzz CA", "01", first_second, last_second}, test_key());
        require(built.has_value());
        return Certificate::from_native(built->release());
    }();
    return authority;
}

// A leaf of that CA, for certificates that pretend to be it.
const Certificate& test_leaf() {
    static const Certificate leaf = [] {
        auto built = build_leaf({"leaf", "02", first_second, last_second}, test_key(),
                                test_authority().native(), test_key());
        require(built.has_value());
        return Certificate::from_native(built->release());
    }();
    return leaf;
}

void check_serial(const Certificate& certificate) {
    const std::string serial = certificate.serial();
    require(normalize_serial(serial) == serial);
    const bssl::UniquePtr<BIGNUM> number(
        ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate.native()), nullptr));
    BIGNUM* read = nullptr;
    require(number && BN_hex2bn(&read, serial.c_str()) == static_cast<int>(serial.size()));
    const bssl::UniquePtr<BIGNUM> owned(read);
    require(BN_cmp(number.get(), read) == 0);
}

void check_dates(const Certificate& certificate) {
    for (const std::int64_t time : {certificate.not_before(), certificate.not_after()}) {
        require(time >= first_second && time <= last_second);
    }
    require(parse_openssl_time(certificate.expiry_text()) == certificate.not_after());
}

void check_rewriting(const Certificate& certificate) {
    const auto again = Certificate::from_pem(certificate.to_pem(), "again");
    require(again && again->der() == certificate.der());
    require(again->serial() == certificate.serial() && again->common_name() == certificate.common_name());
    require(again->not_before() == certificate.not_before() && again->not_after() == certificate.not_after());
    require(!certificate.spki_der().empty() && again->spki_der() == certificate.spki_der());
}

// No EKU at all, or both purposes by name.
bool serves_both_ends(const X509* certificate) {
    struct Free {
        void operator()(EXTENDED_KEY_USAGE* usages) const { EXTENDED_KEY_USAGE_free(usages); }
    };
    int found = 0;
    const std::unique_ptr<EXTENDED_KEY_USAGE, Free> usages(
        static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(certificate, NID_ext_key_usage, &found, nullptr)));
    if (!usages) return found == -1;  // absent, neither broken nor there twice
    std::set<int> nids;
    for (const ASN1_OBJECT* usage : usages.get()) nids.insert(OBJ_obj2nid(usage));
    return nids.count(NID_server_auth) != 0 && nids.count(NID_client_auth) != 0;
}

bool has_unknown_critical_extension(const X509* certificate) {
    for (int i = 0; i < X509_get_ext_count(certificate); ++i) {
        const X509_EXTENSION* extension = X509_get_ext(certificate, i);
        if (X509_EXTENSION_get_critical(extension) != 0 && X509_supported_extension(extension) == 0)
            return true;
    }
    return false;
}

bool is_signed_by(const Certificate& certificate, const Certificate& authority) {
    const bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(authority.native()));
    const bool is = X509_verify(certificate.native(), key.get()) == 1;
    take_crypto_error();
    return is;
}

void check_verification(const Certificate& certificate, const Certificate& authority) {
    const std::array<std::int64_t, 5> times{certificate.not_before() - 1, certificate.not_before(),
                                            certificate.not_after(), certificate.not_after() + 1, 0};
    for (const std::int64_t now : times) {
        const auto verified = certificate.verify(authority, now);
        require(ERR_peek_error() == 0);
        if (!verified) {
            require(verified.error().code == Errc::crypto);
            require(printable(verified.error().text()) == verified.error().text());
            continue;
        }
        require(now >= certificate.not_before() && now <= certificate.not_after());
        require(serves_both_ends(certificate.native()));
        if (certificate.der() == authority.der()) continue;  // a trust anchor is believed as it is
        require(is_signed_by(certificate, authority));
        require(!has_unknown_critical_extension(certificate.native()));
    }
}

void check_signed(const Certificate& certificate) {
    bssl::UniquePtr<X509> copy(X509_dup(certificate.native()));
    require(copy && X509_set_issuer_name(copy.get(), X509_get_subject_name(test_authority().native())) == 1);
    require(X509_sign(copy.get(), test_key(), nullptr) > 0);
    const Certificate reissued = Certificate::from_native(copy.release());
    check_rewriting(reissued);
    check_verification(reissued, test_authority());
}

void check_certificate(const std::string& pem) {
    const auto certificate = Certificate::from_pem(pem, "input");
    require(ERR_peek_error() == 0);  // what stays behind would be blamed for another failure
    if (!certificate) {
        const Error& error = certificate.error();
        require(error.code == (pem.size() > max_pem_bytes ? Errc::too_large : Errc::crypto));
        require(error.message.compare(0, 7, "input: ") == 0 && printable(error.text()) == error.text());
        return;
    }
    require(is_plain_pem(pem, "CERTIFICATE"));
    check_common_name(X509_get_subject_name(certificate->native()), certificate->common_name());
    check_serial(*certificate);
    check_dates(*certificate);
    check_rewriting(*certificate);
    check_verification(*certificate, *certificate);
    check_verification(test_leaf(), *certificate);
    check_signed(*certificate);
}

}  // namespace

int fuzz_certificate(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view rest = text_of_input(data, size).substr(1);
    const std::string pem = data[0] == 'd' ? pem_of("CERTIFICATE", rest) : std::string(rest);
    check_certificate(pem);
    const auto certificate = Certificate::from_pem(pem, "input");
    // DER has one encoding of each value: what was read is what was sent, to the last byte.
    require(data[0] != 'd' || !certificate || certificate->der() == rest);
    return 0;
}

}  // namespace ctrlexec::fuzz
