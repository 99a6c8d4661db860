#include "core/digest.h"

#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <new>

namespace ctrlexec {

std::array<std::uint8_t, 32> sha256(std::string_view data) {
    std::array<std::uint8_t, 32> digest{};
    static_assert(digest.size() == SHA256_DIGEST_LENGTH);
    SHA256(reinterpret_cast<const std::uint8_t*>(data.data()), data.size(), digest.data());
    return digest;
}

std::array<std::uint8_t, 32> hmac_sha256(std::string_view key, std::string_view data) {
    std::array<std::uint8_t, 32> mac{};
    unsigned size = mac.size();
    if (HMAC(EVP_sha256(), key.data(), key.size(), reinterpret_cast<const std::uint8_t*>(data.data()),
             data.size(), mac.data(), &size) == nullptr)
        throw std::bad_alloc();
    return mac;
}

std::string hkdf_sha256(std::string_view secret, std::string_view salt, std::string_view info) {
    const auto bytes = [](std::string_view text) {
        return reinterpret_cast<const std::uint8_t*>(text.data());
    };
    std::string key(32, '\0');
    if (HKDF(reinterpret_cast<std::uint8_t*>(key.data()), key.size(), EVP_sha256(), bytes(secret),
             secret.size(), bytes(salt), salt.size(), bytes(info), info.size()) != 1)
        throw std::bad_alloc();
    return key;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::uint8_t byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

std::optional<std::string> from_hex(std::string_view text) {
    const auto digit = [](char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    if (text.size() % 2 != 0) return std::nullopt;
    std::string bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = digit(text[i]);
        const int low = digit(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes += static_cast<char>(high * 16 + low);
    }
    return bytes;
}

std::string random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    RAND_bytes(reinterpret_cast<std::uint8_t*>(bytes.data()), count);  // BoringSSL aborts rather than fail
    return bytes;
}

std::string random_hex(std::size_t bytes) {
    return hex_of(random_bytes(bytes));
}

}  // namespace ctrlexec
