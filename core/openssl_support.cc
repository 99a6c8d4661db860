#include "core/openssl_support.h"

#include <fmt/format.h>
#include <openssl/asn1.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "core/utf8.h"

namespace ctrlexec {
namespace {

bool has_control_characters(std::string_view text) {
    return printable(text) != text;
}

// PEM_read_bio takes control characters and bytes above 0x7f at the end of a line for blanks, and drops them:
// other programs would see another text.
bool has_odd_line_end(std::string_view pem) {
    while (!pem.empty()) {
        const auto end = std::min(pem.find('\n'), pem.size());
        const auto last = pem.substr(0, end).find_last_not_of(" \t\r");
        if (last != std::string_view::npos && (pem[last] < ' ' || pem[last] > '~')) return true;
        pem.remove_prefix(std::min(end + 1, pem.size()));
    }
    return false;
}

// One block from `bio`; nullopt when it holds none or a broken one.
std::optional<PemBlock> next_block(BIO* bio) {
    char* label = nullptr;
    char* header = nullptr;
    unsigned char* der = nullptr;
    long size = 0;
    if (PEM_read_bio(bio, &label, &header, &der, &size) != 1) return std::nullopt;
    const bssl::UniquePtr<char> owned_label(label);
    const bssl::UniquePtr<char> owned_header(header);
    PemBlock block;
    block.label = label;
    block.encrypted = block.label == "ENCRYPTED PRIVATE KEY" ||
                      std::string_view(header).find("ENCRYPTED") != std::string_view::npos;
    block.der.reset(der);
    block.size = static_cast<std::size_t>(size);
    return block;
}

}  // namespace

std::string take_crypto_error() {
    const std::uint32_t code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) return "";
    const char* reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : fmt::format("libcrypto error {:08x}", code);
}

Error crypto_failure(Errc code, std::string message) {
    return fail(code, std::move(message), take_crypto_error());
}

CBS PemBlock::reader() const {
    CBS cbs;
    CBS_init(&cbs, der.get(), size);
    return cbs;
}

Result<PemBlock> read_pem(std::string_view pem, const std::string& name, std::size_t limit) {
    if (pem.size() > limit)
        return fail(Errc::too_large, fmt::format("{}: larger than {} bytes", name, limit));
    if (pem.empty()) return fail(Errc::crypto, fmt::format("{}: empty; restore it from a backup", name));
    // PEM_read_bio works on C strings: a NUL would let it see another text than other programs do.
    if (pem.find('\0') != std::string_view::npos || pem.find("-----BEGIN ") == std::string_view::npos) {
        return fail(Errc::crypto,
                    fmt::format("{}: not PEM text (a line \"-----BEGIN …\" is missing); if it is DER, "
                                "convert it with openssl",
                                name));
    }
    if (has_odd_line_end(pem.substr(pem.find("-----BEGIN ")))) {
        return fail(
            Errc::crypto,
            fmt::format("{}: a line of the PEM block ends in a character that is no text; remove it", name));
    }
    const bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<ossl_ssize_t>(pem.size())));
    std::optional<PemBlock> block = next_block(bio.get());
    if (block && block->label == "EC PARAMETERS") block = next_block(bio.get());
    if (!block)
        return crypto_failure(Errc::crypto, fmt::format("{}: broken PEM block; is the file cut off?", name));
    const std::string rest = text_of(bio.get());
    if (rest.find("-----BEGIN ") != std::string::npos) {
        return fail(Errc::crypto,
                    fmt::format("{}: holds more than one PEM block; keep only the first one", name));
    }
    if (rest.find_first_not_of(" \t\r\n") != std::string::npos) {
        return fail(Errc::crypto, fmt::format("{}: text after the end of the PEM block; remove it", name));
    }
    return std::move(*block);
}

std::string text_of(const BIO* bio) {
    const std::uint8_t* data = nullptr;
    std::size_t size = 0;
    if (BIO_mem_contents(bio, &data, &size) != 1) return "";
    return {reinterpret_cast<const char*>(data), size};
}

std::string spki_of(const EVP_PKEY* key) {
    if (key == nullptr) return "";
    bssl::ScopedCBB cbb;
    if (CBB_init(cbb.get(), 128) != 1 || EVP_marshal_public_key(cbb.get(), key) != 1) return "";
    return {reinterpret_cast<const char*>(CBB_data(cbb.get())), CBB_len(cbb.get())};
}

std::string key_problem(const EVP_PKEY* key) {
    constexpr int min_rsa_bits = 2048;
    constexpr int max_rsa_bits = 8192;
    constexpr std::string_view accepted = "EC P-256, Ed25519 and RSA of 2048 to 8192 bits are accepted";
    if (key == nullptr) return fmt::format("a key of an unknown kind; {}", accepted);
    switch (EVP_PKEY_id(key)) {
        case EVP_PKEY_ED25519:
            return "";
        case EVP_PKEY_EC:
            if (EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key))) ==
                NID_X9_62_prime256v1) {
                return "";
            }
            return fmt::format("an EC key on another curve than P-256; {}", accepted);
        case EVP_PKEY_RSA:
            if (const int bits = EVP_PKEY_bits(key); bits < min_rsa_bits || bits > max_rsa_bits) {
                return fmt::format("an RSA key of {} bits; {}", bits, accepted);
            }
            return "";
        default:
            return fmt::format("a key of an unknown kind; {}", accepted);
    }
}

const EVP_MD* signature_digest(const EVP_PKEY* key) {
    return EVP_PKEY_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
}

std::optional<std::string> common_name_of(const X509_NAME* name) {
    const int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (index < 0) return "";
    if (X509_NAME_get_index_by_NID(name, NID_commonName, index) >= 0) return std::nullopt;
    unsigned char* utf8 = nullptr;
    const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
    const bssl::UniquePtr<unsigned char> owned(utf8);
    if (size < 0) {
        take_crypto_error();
        return std::nullopt;
    }
    std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
    if (has_control_characters(text)) return std::nullopt;
    return text;
}

std::string authority_problem(X509* certificate) {
    const std::uint32_t flags = X509_get_extension_flags(certificate);
    if ((flags & EXFLAG_INVALID) != 0) return "has broken extensions";
    if ((flags & EXFLAG_CA) == 0) return "is not a CA certificate (basicConstraints CA:TRUE is missing)";
    if ((X509_get_key_usage(certificate) & X509v3_KU_KEY_CERT_SIGN) == 0) {
        return "is not allowed to sign certificates (keyUsage without keyCertSign)";
    }
    return "";
}

Result<void> set_common_name(X509_NAME* name, const std::string& common_name) {
    constexpr std::size_t max_bytes = 64;
    if (common_name.empty() || common_name.size() > max_bytes || !is_utf8(common_name) ||
        has_control_characters(common_name)) {
        return fail(Errc::bad_request,
                    fmt::format("\"{}\" cannot be the name in a certificate: 1 to {} bytes of UTF-8 "
                                "without control characters",
                                printable(common_name), max_bytes));
    }
    if (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                   reinterpret_cast<const std::uint8_t*>(common_name.data()),
                                   static_cast<ossl_ssize_t>(common_name.size()), -1, 0) != 1) {
        return crypto_failure(Errc::internal, "cannot set the name of a certificate");
    }
    return success();
}

}  // namespace ctrlexec
