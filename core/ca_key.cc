#include "core/ca_key.h"

#include <fmt/format.h>
#include <openssl/mem.h>

#include "core/file.h"
#include "core/key_encryption.h"
#include "core/openssl_support.h"
#include "core/secret_access.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_passphrase_file = 64 * 1024;

Result<std::string> read_passphrase_file(const std::string& path, std::size_t least) {
    const auto bad = [](const std::string& what) {
        return fail(Errc::config, "ca_passphrase_file: " + what);
    };
    if (const auto safe = check_secret_access(path, "passphrase"); !safe) return bad(safe.error().message);
    const auto text = read_file(path, max_passphrase_file);
    if (!text) return bad(text.error().message);
    std::string line = text->substr(0, text->find('\n'));
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.size() >= least && line.size() <= max_passphrase) return line;
    return bad(fmt::format("the first line of {} must be the passphrase, {} to {} bytes", path, least,
                           max_passphrase));
}

}  // namespace

Result<PrivateKey> load_ca_key(const std::string& path, const std::string& passphrase_file) {
    TRY_DO(check_secret_access(path, "private key"));
    TRY(std::string pem, read_file(path, max_pem_bytes));
    if (!is_encrypted_key(pem)) {
        auto key = PrivateKey::from_pem(pem, path);
        OPENSSL_cleanse(pem.data(), pem.size());
        return key;
    }
    if (passphrase_file.empty()) {
        return fail(Errc::config, fmt::format("{}: encrypted; write its passphrase into a file and name that "
                                              "in ca_passphrase_file",
                                              path));
    }
    TRY(std::string passphrase, read_passphrase_file(passphrase_file, 1));
    auto key = decrypt_key(pem, passphrase, path);
    OPENSSL_cleanse(passphrase.data(), passphrase.size());
    if (!key && key.error().code == Errc::denied) {
        return fail(Errc::config,
                    fmt::format("{}; see ca_passphrase_file, {}", key.error().message, passphrase_file));
    }
    return key;
}

Result<std::string> ca_key_pem(const PrivateKey& key, const std::string& passphrase_file) {
    if (passphrase_file.empty()) return key.to_pem();
    TRY(std::string passphrase, read_passphrase_file(passphrase_file, min_passphrase));
    std::string pem = encrypt_key(key, passphrase);
    OPENSSL_cleanse(passphrase.data(), passphrase.size());
    return pem;
}

}  // namespace ctrlexec
