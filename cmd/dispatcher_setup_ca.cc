// Usage: setup-ca [--if-missing] [--key-type TYPE] [--days N]
// Makes ca.key (0600), ca.crt and ca.serial in `ca_dir`; never overwrites. With --if-missing a CA that is
// there is success.
#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/dispatcher_setup.h"
#include "core/json.h"

namespace ctrlexec {
namespace {

Result<KeyType> key_type_option(const Invocation& call, KeyType fallback) {
    const std::string type = call.text("--key-type", fallback == KeyType::rsa ? "rsa" : "ecdsa");
    if (type == "ecdsa") return KeyType::ecdsa;
    if (type == "rsa") return KeyType::rsa;
    return fail(Errc::usage, "--key-type must be ecdsa or rsa");
}

}  // namespace

int dispatcher_setup_ca(const Invocation& call) {
    const auto days = number_option(call, "--days", 1, 36500, default_ca_days);
    if (!days) return report(call, days.error());
    auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto type = key_type_option(call, config->key_type);
    if (!type) return report(call, type.error());
    config->key_type = *type;
    const auto made = set_up_authority(*config, call.has("--if-missing"), *days);
    if (!made) return report(call, made.error());
    const Certificate& certificate = made->certificate;
    if (call.has("--json")) {
        json::Object result{{"ok", 1},
                            {"ca", config->ca_dir + "/ca.crt"},
                            {"expiry", certificate.expiry_text()},
                            {"serial", certificate.serial()}};
        if (made->kept) result.push_back({"kept", 1});
        print_out(json::dump(json::Value(std::move(result))) + "\n");
        return 0;
    }
    if (made->kept) {
        print_out(fmt::format("{}/ca.crt exists, kept.\n", config->ca_dir));
        return 0;
    }
    if (made->used_key) print_out(fmt::format("Using the existing key {}/ca.key.\n", config->ca_dir));
    print_out(
        fmt::format("CA created: {}/ca.crt, valid until {}.\n", config->ca_dir, certificate.expiry_text()));
    print_out(fmt::format("Back up {}/ca.key now, offline: whoever has it controls every agent.\n",
                          config->ca_dir));
    return 0;
}

}  // namespace ctrlexec
