// Private keys: made, read and written (PKCS#8 PEM, RFC 5958; PKCS#1 and SEC1 are read too).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/key_type.h"
#include "core/result.h"
#include "core/secret_access.h"

struct evp_pkey_st;  // BoringSSL's EVP_PKEY

namespace ctrlexec {

class PrivateKey {
  public:
    // RSA takes seconds: offload it from a loop thread.
    static Result<PrivateKey> generate(KeyType type);

    // Accepts EC P-256, Ed25519 and RSA 2048-8192; `name` (a path) is used in error messages only.
    static Result<PrivateKey> from_pem(std::string_view pem, const std::string& name);

    // Reads a key file; warns nobody, but refuses one that everybody may access (core/secret_access.h).
    static Result<PrivateKey> from_file(const std::string& path,
                                        std::string_view secrets = container_secrets);

    // PKCS#8 PEM. Secret: write it only to a file that was created 0600.
    std::string to_pem() const;

    // None for an Ed25519 key, which we only read.
    std::optional<KeyType> type() const;

    // DER SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) of the public half.
    std::string spki_der() const;

    evp_pkey_st* native() const { return key_.get(); }  // borrowed
    static PrivateKey from_native(evp_pkey_st* owned);  // takes ownership

  private:
    struct Free {
        void operator()(evp_pkey_st* key) const;
    };
    explicit PrivateKey(evp_pkey_st* owned) : key_(owned) {}
    std::unique_ptr<evp_pkey_st, Free> key_;
};

}  // namespace ctrlexec
