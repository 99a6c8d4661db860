// The key algorithms `key_type` may name.
#pragma once

#include <cstdint>

namespace ctrlexec {

enum class KeyType : std::uint8_t { ecdsa, rsa };  // P-256 (the default) and RSA-4096

}  // namespace ctrlexec
