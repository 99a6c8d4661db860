// Certificate requests. The first byte says what the rest is: 'd' DER, 's' a DER subject and 'n' a common
// name a line, each behind its ASN.1 tag, of a request that this harness then signs, for a fuzzer cannot;
// after anything else PEM text. What is accepted is signed, has one readable name, survives being written,
// and gets through pairing exactly when that name is a host's.
#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/x509.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/csr.h"
#include "core/hostname.h"
#include "core/json.h"
#include "core/openssl_support.h"
#include "core/pairing_messages.h"
#include "core/utf8.h"
#include "test/fuzz/crypto.h"
#include "test/fuzz/harness.h"

namespace ctrlexec::fuzz {
namespace {

const std::uint8_t* bytes_of(std::string_view text) {
    return reinterpret_cast<const std::uint8_t*>(text.data());
}

std::string finished(CBB* cbb) {
    require(CBB_flush(cbb) == 1);
    return {reinterpret_cast<const char*>(CBB_data(cbb)), CBB_len(cbb)};
}

// PKCS#10 (RFC 2986) around a subject, signed with the test key.
std::string signed_request(std::string_view subject) {
    bssl::ScopedCBB info;
    CBB request_info, attributes;
    require(CBB_init(info.get(), 256) && CBB_add_asn1(info.get(), &request_info, CBS_ASN1_SEQUENCE));
    require(CBB_add_asn1_uint64(&request_info, 0));
    require(CBB_add_bytes(&request_info, bytes_of(subject), subject.size()));
    require(EVP_marshal_public_key(&request_info, test_key()));
    require(CBB_add_asn1(&request_info, &attributes, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0));
    const std::string to_sign = finished(info.get());

    std::uint8_t signature[64];
    std::size_t size = sizeof signature;
    bssl::ScopedEVP_MD_CTX context;
    require(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, test_key()) == 1);
    require(EVP_DigestSign(context.get(), signature, &size, bytes_of(to_sign), to_sign.size()) == 1);

    static constexpr std::uint8_t ed25519[] = {0x2b, 0x65, 0x70};  // 1.3.101.112
    bssl::ScopedCBB out;
    CBB request, algorithm, oid, bits;
    require(CBB_init(out.get(), 512) && CBB_add_asn1(out.get(), &request, CBS_ASN1_SEQUENCE));
    require(CBB_add_bytes(&request, bytes_of(to_sign), to_sign.size()));
    require(CBB_add_asn1(&request, &algorithm, CBS_ASN1_SEQUENCE));
    require(CBB_add_asn1(&algorithm, &oid, CBS_ASN1_OBJECT) && CBB_add_bytes(&oid, ed25519, sizeof ed25519));
    require(CBB_add_asn1(&request, &bits, CBS_ASN1_BITSTRING) && CBB_add_u8(&bits, 0));
    require(CBB_add_bytes(&bits, signature, size));
    return finished(out.get());
}

// The DER subject with these common names, each behind its tag ("\x0cweb-01" is a UTF8String).
std::string subject_of(const std::vector<std::string_view>& names) {
    static constexpr std::uint8_t common_name[] = {0x55, 0x04, 0x03};  // 2.5.4.3
    bssl::ScopedCBB out;
    CBB sequence;
    require(CBB_init(out.get(), 64) && CBB_add_asn1(out.get(), &sequence, CBS_ASN1_SEQUENCE));
    for (const auto name : names) {
        CBB set, attribute, oid, value;
        const unsigned tag = static_cast<unsigned char>(name.front()) & 0x1f;
        require(CBB_add_asn1(&sequence, &set, CBS_ASN1_SET));
        require(CBB_add_asn1(&set, &attribute, CBS_ASN1_SEQUENCE));
        require(CBB_add_asn1(&attribute, &oid, CBS_ASN1_OBJECT));
        require(CBB_add_bytes(&oid, common_name, sizeof common_name));
        require(CBB_add_asn1(&attribute, &value, tag == 0 ? CBS_ASN1_UTF8STRING : tag));
        require(CBB_add_bytes(&value, bytes_of(name) + 1, name.size() - 1) && CBB_flush(&sequence));
    }
    return finished(out.get());
}

std::vector<std::string_view> names_in(std::string_view text) {
    std::vector<std::string_view> names;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        if (end > 0) names.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return names;
}

std::string request_pem(std::string_view der) {
    return pem_of("CERTIFICATE REQUEST", der);
}

void check_key(X509_REQ* request) {
    const bssl::UniquePtr<EVP_PKEY> key(X509_REQ_get_pubkey(request));
    require(key && X509_REQ_verify(request, key.get()) == 1);
    switch (EVP_PKEY_id(key.get())) {
        case EVP_PKEY_ED25519:
            return;
        case EVP_PKEY_EC:
            return require(EVP_PKEY_bits(key.get()) == 256);
        default:
            require(EVP_PKEY_id(key.get()) == EVP_PKEY_RSA);
            require(EVP_PKEY_bits(key.get()) >= 2048 && EVP_PKEY_bits(key.get()) <= 8192);
    }
}

void check_pairing(const std::string& pem, const std::string& name) {
    const std::string code = pairing_code(pem);
    require(code.size() == 6 && code.find_first_not_of("0123456789") == std::string::npos);
    if (!is_utf8(pem)) return;  // cannot come in JSON
    const std::string body =
        json::dump(json::Object{{"hostname", name}, {"csr", pem}, {"nonce", "06ba031ebf93b5a2"}});
    const auto request = parse_pairing_body(body, false);
    require(request.has_value() == is_valid_hostname(name));
    require(!request || (request->hostname == name && request->csr == pem && request->code == code));
}

void check_request(const std::string& pem) {
    const auto request = CertificateRequest::from_pem(pem);
    require(ERR_peek_error() == 0);  // what stays behind would be blamed for another failure
    if (!request) {
        const Error& error = request.error();
        require(error.code == (pem.size() > max_csr_bytes ? Errc::too_large : Errc::bad_request));
        require(printable(error.text()) == error.text());
        return;
    }
    require(is_plain_pem(pem, "CERTIFICATE REQUEST") || is_plain_pem(pem, "NEW CERTIFICATE REQUEST"));
    const std::string name = request->common_name();
    check_common_name(X509_REQ_get_subject_name(request->native()), name);
    check_key(request->native());
    check_pairing(pem, name);

    const std::string written = request->to_pem();
    const auto again = CertificateRequest::from_pem(written);
    require(again || (again.error().code == Errc::too_large && written.size() > max_csr_bytes));
    if (!again) return;
    require(again->to_pem() == written && again->common_name() == name);
    require(!request->spki_der().empty() && again->spki_der() == request->spki_der());
}

// DER has one encoding of each value: what was read is what was sent, to the last byte.
void check_der(std::string_view der) {
    const std::string pem = request_pem(der);
    check_request(pem);
    if (const auto request = CertificateRequest::from_pem(pem)) require(request->to_pem() == pem);
}

}  // namespace

int fuzz_csr(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view rest = text_of_input(data, size).substr(1);
    switch (data[0]) {
        case 'd':
            check_der(rest);
            break;
        case 's':
            check_request(request_pem(signed_request(rest)));
            break;
        case 'n': {
            const auto names = names_in(rest);
            const std::string pem = request_pem(signed_request(subject_of(names)));
            require(names.size() < 2 || !CertificateRequest::from_pem(pem));
            check_request(pem);
            break;
        }
        default:
            check_request(std::string(rest));
    }
    return 0;
}

}  // namespace ctrlexec::fuzz
