// What the harnesses of certificates and requests share: the one key they sign with, and PEM text around any
// bytes, so that a fuzzer can change the DER itself.
#pragma once

#include <openssl/asn1.h>
#include <openssl/base.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/openssl_support.h"
#include "core/utf8.h"
#include "test/fuzz/harness.h"

namespace ctrlexec::fuzz {

// Its secret is 32 zero bytes, so signatures, and with them the corpora, mean the same in every run; Ed25519,
// because it is the quickest.
inline EVP_PKEY* test_key() {
    static constexpr std::array<std::uint8_t, 32> secret{};
    static const bssl::UniquePtr<EVP_PKEY> key(
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, secret.data(), secret.size()));
    require(key != nullptr);
    return key.get();
}

inline std::string pem_of(const char* label, std::string_view der) {
    if (der.empty()) return "";  // PEM_write_bio makes no empty block
    return written_pem([&](BIO* bio) {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(der.data());
        return PEM_write_bio(bio, label, "", bytes, static_cast<long>(der.size())) > 0;
    });
}

// The subject has at most one common name, and `text` is all of it.
inline void check_common_name(const X509_NAME* subject, const std::string& text) {
    const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    require(printable(text) == text && (index >= 0 || text.empty()));
    if (index < 0) return;
    require(X509_NAME_get_index_by_NID(subject, NID_commonName, index) < 0);
    const ASN1_STRING* content = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index));
    require(text.empty() == (ASN1_STRING_length(content) == 0));
}

// Text in which every reader finds the same block: no NUL, at which some stop, no line of it that ends in a
// byte which some drop, and nothing after its end.
inline bool is_plain_pem(std::string_view pem, const std::string& label) {
    const std::string end = "-----END " + label + "-----";
    const std::string_view text = pem.substr(0, pem.find_last_not_of(" \t\r\n") + 1);
    if (text.size() < end.size() || text.substr(text.size() - end.size()) != end) return false;
    const auto first = text.find('\n', text.find("-----BEGIN "));
    for (auto i = first; i != std::string_view::npos; i = text.find('\n', i + 1)) {
        const char last = text[text.find_last_not_of(" \t\r", i - 1)];
        if (last != '\n' && (last < ' ' || last > '~')) return false;
    }
    return text.find('\0') == std::string_view::npos;
}

}  // namespace ctrlexec::fuzz
