#include "core/sealing.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <new>

#include "core/digest.h"

namespace ctrlexec {
namespace {

constexpr std::size_t nonce_bytes = 12;
constexpr std::size_t tag_bytes = 16;

const std::uint8_t* bytes_of(std::string_view text) {
    return reinterpret_cast<const std::uint8_t*>(text.data());
}

std::uint8_t* bytes_of(std::string& text) {
    return reinterpret_cast<std::uint8_t*>(text.data());
}

void set_up(EVP_AEAD_CTX* context, const std::array<std::uint8_t, 32>& key) {
    if (EVP_AEAD_CTX_init(context, EVP_aead_aes_256_gcm(), key.data(), key.size(), tag_bytes, nullptr) != 1)
        throw std::bad_alloc();
}

}  // namespace

SealingKey::SealingKey(std::string secret, std::string_view salt, std::string_view purpose) {
    std::string derived = hkdf_sha256(secret, salt, purpose);
    wipe(secret);
    std::copy(derived.begin(), derived.end(), key_.begin());
    wipe(derived);
}

SealingKey::~SealingKey() {
    OPENSSL_cleanse(key_.data(), key_.size());
}

std::string SealingKey::seal(std::string_view plain, std::string_view as_what) const {
    bssl::ScopedEVP_AEAD_CTX context;
    set_up(context.get(), key_);
    std::string sealed(plain.size() + overhead, '\0');
    std::uint8_t* nonce = bytes_of(sealed);
    RAND_bytes(nonce, nonce_bytes);
    std::size_t size = 0;
    if (EVP_AEAD_CTX_seal(context.get(), nonce + nonce_bytes, &size, sealed.size() - nonce_bytes, nonce,
                          nonce_bytes, bytes_of(plain), plain.size(), bytes_of(as_what), as_what.size()) != 1)
        throw std::bad_alloc();
    return sealed;
}

std::optional<std::string> SealingKey::open(std::string_view sealed, std::string_view as_what) const {
    if (sealed.size() < overhead) return std::nullopt;
    bssl::ScopedEVP_AEAD_CTX context;
    set_up(context.get(), key_);
    std::string plain(sealed.size() - nonce_bytes, '\0');
    std::size_t size = 0;
    if (EVP_AEAD_CTX_open(context.get(), bytes_of(plain), &size, plain.size(), bytes_of(sealed), nonce_bytes,
                          bytes_of(sealed) + nonce_bytes, sealed.size() - nonce_bytes, bytes_of(as_what),
                          as_what.size()) != 1) {
        ERR_clear_error();
        return std::nullopt;
    }
    plain.resize(size);
    return plain;
}

void wipe(std::string& secret) {
    OPENSSL_cleanse(secret.data(), secret.size());
}

}  // namespace ctrlexec
