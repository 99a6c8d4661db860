// Usage: export-ca-key [--out FILE] [--passphrase-file FILE]
// The CA's key as encrypted PKCS#8 PEM, on stdout or in a new file (0600): the backup that may leave the
// machine.
#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/passphrase.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/ca_key.h"
#include "core/file.h"
#include "core/json.h"
#include "core/key_encryption.h"

namespace ctrlexec {
namespace {

Result<std::string> encrypted(const Invocation& call, const DispatcherConfig& config) {
    TRY(const PrivateKey key, load_ca_key(config.ca_dir + "/ca.key", config.ca_passphrase_file));
    TRY(const std::string passphrase, read_passphrase(call, PassphraseUse::make));
    return encrypt_key(key, passphrase);
}

}  // namespace

int dispatcher_export_ca_key(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto pem = encrypted(call, *config);
    if (!pem) return report(call, pem.error());
    if (!call.has("--out")) {
        print_out(call.has("--json") ? json::dump(json::Object{{"ok", 1}, {"key", *pem}}) + "\n" : *pem);
        return 0;
    }
    const std::string out = call.text("--out");
    if (const auto written = create_file_atomic(out, *pem, 0600); !written)
        return report(call, written.error());
    if (call.has("--json")) {
        print_out(json::dump(json::Object{{"ok", 1}, {"file", out}}) + "\n");
    } else {
        print_out(fmt::format("CA key, encrypted: {}. Keep it and its passphrase in two places.\n", out));
    }
    return 0;
}

}  // namespace ctrlexec
