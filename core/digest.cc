#include "core/digest.h"

#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

namespace ctrlexec {

std::array<std::uint8_t, 32> sha256(std::string_view data) {
    std::array<std::uint8_t, 32> digest{};
    static_assert(digest.size() == SHA256_DIGEST_LENGTH);
    SHA256(reinterpret_cast<const std::uint8_t*>(data.data()), data.size(), digest.data());
    return digest;
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

std::string random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    RAND_bytes(reinterpret_cast<std::uint8_t*>(bytes.data()), count);  // BoringSSL aborts rather than fail
    return bytes;
}

std::string random_hex(std::size_t bytes) {
    const std::string raw = random_bytes(bytes);
    return to_hex({reinterpret_cast<const std::uint8_t*>(raw.data()), raw.size()});
}

}  // namespace ctrlexec
