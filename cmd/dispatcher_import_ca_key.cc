// Usage: import-ca-key FILE [--passphrase-file FILE]
// Puts a CA key that was exported or kept elsewhere back as ca.key (0600): PKCS#8, encrypted or not, from
// FILE or
// ("-") from standard input. Never replaces another key, and refuses one that is not the key of a ca.crt that
// is there.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "cmd/dispatcher_context.h"
#include "cmd/passphrase.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/ca_key.h"
#include "core/certificate.h"
#include "core/file.h"
#include "core/json.h"
#include "core/key_encryption.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_key_file = 64 * 1024;

Result<std::string> read_input(const std::string& path) {
    if (path != "-") return read_file(path, max_key_file);
    std::string text;
    char buffer[4096];
    for (;;) {
        const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error("read", "standard input", errno);
        if (n == 0) return text;
        text.append(buffer, static_cast<std::size_t>(n));
        if (text.size() > max_key_file)
            return fail(Errc::too_large, "standard input holds no key: it is too long");
    }
}

Result<PrivateKey> read_key(const Invocation& call) {
    const std::string& path = call.operands[0];
    const std::string name = path == "-" ? "standard input" : path;
    if (path == "-" && call.text("--passphrase-file") == "-")
        return fail(Errc::usage, "key and passphrase cannot both come from standard input");
    TRY(const std::string pem, read_input(path));
    if (!is_encrypted_key(pem)) return PrivateKey::from_pem(pem, name);
    TRY(const std::string passphrase, read_passphrase(call, PassphraseUse::open));
    return decrypt_key(pem, passphrase, name);
}

// True when the key was put there, false when it was there already.
Result<bool> install(const DispatcherConfig& config, const PrivateKey& key) {
    const std::string key_path = config.ca_dir + "/ca.key";
    const std::string certificate_path = config.ca_dir + "/ca.crt";
    if (file_exists(certificate_path)) {
        TRY(const Certificate certificate, Certificate::from_file(certificate_path));
        if (!certificate.holds_key_of(key))
            return fail(Errc::crypto,
                        fmt::format("this is not the key of {}; nothing was changed", certificate_path));
    }
    TRY_DO(make_directories(config.ca_dir, 0755));
    TRY(const std::string pem, ca_key_pem(key, config.ca_passphrase_file));
    const auto created = create_file_atomic(key_path, pem, 0600);
    if (created) return true;
    if (created.error().code != Errc::exists) return created.error();
    TRY(const PrivateKey present, load_ca_key(key_path, config.ca_passphrase_file));
    if (present.spki_der() == key.spki_der()) return false;
    return fail(Errc::exists, fmt::format("{} holds another key and is kept; move it away first", key_path));
}

}  // namespace

int dispatcher_import_ca_key(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto key = read_key(call);
    if (!key) return report(call, key.error());
    const auto created = install(*config, *key);
    if (!created) return report(call, created.error());
    const std::string path = config->ca_dir + "/ca.key";
    if (call.has("--json")) {
        print_out(json::dump(json::Object{{"ok", 1}, {"file", path}, {"changed", *created}}) + "\n");
        return 0;
    }
    print_out(fmt::format("{}: {}\n", *created ? "CA key stored" : "This key is there already", path));
    if (!file_exists(config->ca_dir + "/ca.crt"))
        print_out("Put its ca.crt beside it, or make a new certificate with setup-ca.\n");
    return 0;
}

}  // namespace ctrlexec
