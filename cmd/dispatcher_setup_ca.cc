// Usage: setup-ca
// Makes ca.key (0600), ca.crt and ca.serial in `ca_dir`; never overwrites.
#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/authority.h"
#include "core/file.h"
#include "core/json.h"

namespace ctrlexec {
namespace {

constexpr int ca_days = 3650;

}  // namespace

int dispatcher_setup_ca(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    if (const auto made = make_directories(config->ca_dir, 0755); !made) return report(call, made.error());
    const bool had_key = file_exists(config->ca_dir + "/ca.key");
    const auto authority = Authority::create(config->ca_dir, config->key_type, ca_days);
    if (!authority) return report(call, authority.error());
    const Certificate& certificate = authority->certificate();
    if (call.has("--json")) {
        print_out(json::dump(json::Object{{"ok", 1},
                                          {"ca", config->ca_dir + "/ca.crt"},
                                          {"expiry", certificate.expiry_text()},
                                          {"serial", certificate.serial()}}) +
                  "\n");
        return 0;
    }
    if (had_key) print_out(fmt::format("Using the existing key {}/ca.key.\n", config->ca_dir));
    print_out(
        fmt::format("CA created: {}/ca.crt, valid until {}.\n", config->ca_dir, certificate.expiry_text()));
    print_out(fmt::format("Back up {}/ca.key now, offline: whoever has it controls every agent.\n",
                          config->ca_dir));
    return 0;
}

}  // namespace ctrlexec
