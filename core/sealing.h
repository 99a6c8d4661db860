// Data that only who has the key can read or make: authenticated encryption (AES-256-GCM, RFC 5116).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ctrlexec {

class SealingKey {
  public:
    // Derived from `secret`, which is wiped, with HKDF-SHA-256 (RFC 5869).
    SealingKey(std::string secret, std::string_view salt, std::string_view purpose);
    ~SealingKey();
    SealingKey(const SealingKey&) = delete;
    SealingKey& operator=(const SealingKey&) = delete;

    static constexpr std::size_t overhead = 12 + 16;  // bytes: nonce and tag

    // Nonce, ciphertext and tag. It can only be opened as what it was sealed as.
    std::string seal(std::string_view plain, std::string_view as_what) const;
    std::optional<std::string> open(std::string_view sealed, std::string_view as_what) const;

  private:
    std::array<std::uint8_t, 32> key_;
};

void wipe(std::string& secret);  // before it is freed

}  // namespace ctrlexec
