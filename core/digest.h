// SHA-256 (FIPS 180-4), comparison in constant time, and the system's random source.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ctrlexec {

std::array<std::uint8_t, 32> sha256(std::string_view data);

std::array<std::uint8_t, 32> hmac_sha256(std::string_view key, std::string_view data);  // RFC 2104

// HKDF-SHA-256 (RFC 5869), 32 bytes. The result is as secret as `secret`.
std::string hkdf_sha256(std::string_view secret, std::string_view salt, std::string_view info);

// Time depends on the lengths only.
bool equal_constant_time(std::string_view a, std::string_view b);

// Lower case, two digits a byte.
std::string to_hex(std::span<const std::uint8_t> bytes);

inline std::string hex_of(std::string_view bytes) {
    return to_hex(std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
}

// The bytes of lower-case hex; nothing for anything else, an odd number of digits among it.
std::optional<std::string> from_hex(std::string_view text);

// What a public key is known by: SHA-256 of its DER SubjectPublicKeyInfo, as hex.
inline std::string key_fingerprint(std::string_view spki_der) {
    return to_hex(sha256(spki_der));
}

std::string random_bytes(std::size_t count);

// `bytes` random bytes as lower-case hex.
std::string random_hex(std::size_t bytes);

// 16 hex digits: names one run, request or pairing on both sides.
inline std::string new_reqid() {
    return random_hex(8);
}

}  // namespace ctrlexec
