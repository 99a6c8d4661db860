#include "core/key.h"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "core/file.h"
#include "core/openssl_support.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr unsigned new_rsa_bits = 4096;

bool generate_ec(EVP_PKEY* key) {
    bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
    return ec && EC_KEY_generate_key(ec.get()) == 1 && EVP_PKEY_set1_EC_KEY(key, ec.get()) == 1;
}

bool generate_rsa(EVP_PKEY* key) {
    bssl::UniquePtr<RSA> rsa(RSA_new());
    bssl::UniquePtr<BIGNUM> exponent(BN_new());
    return rsa && exponent && BN_set_word(exponent.get(), RSA_F4) == 1 &&
           RSA_generate_key_ex(rsa.get(), new_rsa_bits, exponent.get(), nullptr) == 1 &&
           EVP_PKEY_set1_RSA(key, rsa.get()) == 1;
}

// The three encodings of a private key that programs write; null when the DER is not valid.
bssl::UniquePtr<EVP_PKEY> parse(const PemBlock& block) {
    CBS der = block.reader();
    bssl::UniquePtr<EVP_PKEY> key;
    if (block.label == "PRIVATE KEY") {  // PKCS#8
        key.reset(EVP_parse_private_key(&der));
    } else if (block.label == "EC PRIVATE KEY") {  // SEC1
        bssl::UniquePtr<EC_KEY> ec(EC_KEY_parse_private_key(&der, nullptr));
        key.reset(EVP_PKEY_new());
        if (!ec || EVP_PKEY_set1_EC_KEY(key.get(), ec.get()) != 1) return nullptr;
    } else {  // PKCS#1
        bssl::UniquePtr<RSA> rsa(RSA_parse_private_key(&der));
        key.reset(EVP_PKEY_new());
        if (!rsa || EVP_PKEY_set1_RSA(key.get(), rsa.get()) != 1) return nullptr;
    }
    if (CBS_len(&der) != 0) return nullptr;
    return key;
}

}  // namespace

void PrivateKey::Free::operator()(evp_pkey_st* key) const {
    EVP_PKEY_free(key);
}

PrivateKey PrivateKey::from_native(evp_pkey_st* owned) {
    return PrivateKey(owned);
}

Result<PrivateKey> PrivateKey::generate(KeyType type) {
    bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
    if (!key || !(type == KeyType::rsa ? generate_rsa(key.get()) : generate_ec(key.get()))) {
        return crypto_failure(Errc::internal, "cannot generate a private key");
    }
    return PrivateKey(key.release());
}

Result<PrivateKey> PrivateKey::from_pem(std::string_view pem, const std::string& name) {
    TRY(const PemBlock block, read_pem(pem, name));
    if (block.encrypted) {
        return fail(Errc::crypto,
                    fmt::format("{0}: encrypted, and a service cannot type its passphrase; remove it with "
                                "`openssl pkey -in {0} -out NEW`",
                                name));
    }
    if (block.label != "PRIVATE KEY" && block.label != "EC PRIVATE KEY" && block.label != "RSA PRIVATE KEY") {
        return fail(Errc::crypto, fmt::format("{}: holds a {}, not a PRIVATE KEY; correct the path", name,
                                              printable(block.label)));
    }
    bssl::UniquePtr<EVP_PKEY> key = parse(block);
    if (!key) {
        return crypto_failure(
            Errc::crypto, fmt::format("{}: not a usable private key: damaged, or of an unknown kind", name));
    }
    if (const std::string problem = key_problem(key.get()); !problem.empty()) {
        return fail(Errc::crypto, fmt::format("{}: {}", name, problem));
    }
    return PrivateKey(key.release());
}

Result<PrivateKey> PrivateKey::from_file(const std::string& path, std::string_view secrets) {
    TRY_DO(check_secret_access(path, "private key", secrets));
    TRY(std::string pem, read_file(path, max_pem_bytes));
    auto key = from_pem(pem, path);
    OPENSSL_cleanse(pem.data(), pem.size());
    return key;
}

std::string PrivateKey::to_pem() const {
    return written_pem([this](BIO* bio) {
        return PEM_write_bio_PKCS8PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
}

std::optional<KeyType> PrivateKey::type() const {
    switch (EVP_PKEY_id(key_.get())) {
        case EVP_PKEY_EC:
            return KeyType::ecdsa;
        case EVP_PKEY_RSA:
            return KeyType::rsa;
        default:
            return std::nullopt;
    }
}

std::string PrivateKey::spki_der() const {
    return spki_of(key_.get());
}

}  // namespace ctrlexec
