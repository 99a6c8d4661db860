#include "core/key_encryption.h"

#include <fmt/format.h>
#include <openssl/cipher.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/pkcs8.h>

#include <new>

#include "core/openssl_support.h"

namespace ctrlexec {
namespace {

constexpr int iterations = 1'000'000;
constexpr std::size_t salt_size = 16;
constexpr const char* label = "ENCRYPTED PRIVATE KEY";

}  // namespace

std::string encrypt_key(const PrivateKey& key, std::string_view passphrase) {
    bssl::ScopedCBB out;
    std::uint8_t* der = nullptr;
    std::size_t size = 0;
    // No PBE of PKCS#12 (-1), a random salt.
    if (CBB_init(out.get(), 4096) != 1 ||
        PKCS8_marshal_encrypted_private_key(out.get(), -1, EVP_aes_256_cbc(), passphrase.data(),
                                            passphrase.size(), nullptr, salt_size, iterations,
                                            key.native()) != 1 ||
        CBB_finish(out.get(), &der, &size) != 1) {
        throw std::bad_alloc();
    }
    const bssl::UniquePtr<std::uint8_t> owned(der);
    return written_pem(
        [&](BIO* bio) { return PEM_write_bio(bio, label, "", der, static_cast<long>(size)) > 0 ? 1 : 0; });
}

bool is_encrypted_key(std::string_view pem) {
    return pem.find(fmt::format("-----BEGIN {}-----", label)) != std::string_view::npos;
}

Result<PrivateKey> decrypt_key(std::string_view pem, std::string_view passphrase, const std::string& name) {
    TRY(const PemBlock block, read_pem(pem, name));
    if (block.label != label)
        return fail(Errc::crypto, fmt::format("{}: not an encrypted PKCS#8 key ({})", name, label));
    CBS der = block.reader();
    bssl::UniquePtr<EVP_PKEY> key(
        PKCS8_parse_encrypted_private_key(&der, passphrase.data(), passphrase.size()));
    if (!key || CBS_len(&der) != 0) {
        return crypto_failure(Errc::denied,
                              fmt::format("{}: wrong passphrase, or the file is damaged", name));
    }
    if (const std::string problem = key_problem(key.get()); !problem.empty())
        return fail(Errc::crypto, fmt::format("{}: {}", name, problem));
    return PrivateKey::from_native(key.release());
}

}  // namespace ctrlexec
