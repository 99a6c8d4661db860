// Private keys under a passphrase: PKCS#8 "ENCRYPTED PRIVATE KEY" (RFC 5958, section 3) with PBES2 (RFC
// 8018), which `openssl pkey` reads and writes.
#pragma once

#include <string>
#include <string_view>

#include "core/key.h"
#include "core/result.h"

namespace ctrlexec {

inline constexpr std::size_t min_passphrase = 8;  // bytes
inline constexpr std::size_t max_passphrase = 1024;

// AES-256-CBC under a key of PBKDF2; takes about half a second on purpose.
std::string encrypt_key(const PrivateKey& key, std::string_view passphrase);

// Whether the text is such a key.
bool is_encrypted_key(std::string_view pem);

// Errc::denied when the passphrase is wrong, Errc::crypto for text that is none or a key we do not work with.
// `name` is used in messages only.
Result<PrivateKey> decrypt_key(std::string_view pem, std::string_view passphrase, const std::string& name);

}  // namespace ctrlexec
