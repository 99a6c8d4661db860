#include "core/base64.h"

#include <openssl/base64.h>

#include <cstdint>

namespace ctrlexec {

std::string base64(std::string_view bytes) {
    std::size_t length = 0;
    if (EVP_EncodedLength(&length, bytes.size()) != 1) return {};
    std::string text(length, '\0');  // room for the NUL that EVP_EncodeBlock adds
    const auto* source = reinterpret_cast<const std::uint8_t*>(bytes.data());
    text.resize(EVP_EncodeBlock(reinterpret_cast<std::uint8_t*>(text.data()), source, bytes.size()));
    return text;
}

std::optional<std::string> from_base64(std::string_view text) {
    std::size_t length = 0;
    if (EVP_DecodedLength(&length, text.size()) != 1) return std::nullopt;
    std::string bytes(length, '\0');
    const auto* source = reinterpret_cast<const std::uint8_t*>(text.data());
    if (EVP_DecodeBase64(reinterpret_cast<std::uint8_t*>(bytes.data()), &length, bytes.size(), source,
                         text.size()) != 1) {
        return std::nullopt;
    }
    bytes.resize(length);
    return bytes;
}

}  // namespace ctrlexec
