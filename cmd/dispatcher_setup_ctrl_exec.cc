// Usage: setup-ctrl-exec [--yes] [--if-missing]
// Makes the dispatcher's key (0600) and its certificate, signed by the CA. Agents trust a dispatcher by its
// serial, so replacing it while agents are registered cuts them off: that is asked first. With
// --if-missing what is there is success, and is never replaced.
#include <fmt/format.h>
#include <unistd.h>

#include "cmd/confirm.h"
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/dispatcher_setup.h"
#include "core/file.h"
#include "core/json.h"
#include "core/registry.h"

namespace ctrlexec {
namespace {

Result<void> confirm(const Invocation& call, const DispatcherConfig& config) {
    if (!file_exists(config.cert) || call.has("--yes")) return success();
    TRY(const RegistryListing listing, Registry(config.agents_dir()).list());
    if (listing.agents.empty() && listing.problems.empty()) return success();
    const std::size_t count = listing.agents.size() + listing.problems.size();
    const std::string consequence = fmt::format(
        "{} exists and {} agent{} registered; with a new certificate they refuse this dispatcher until "
        "paired again",
        config.cert, count, count == 1 ? " is" : "s are");
    if (::isatty(STDIN_FILENO) == 0) return fail(Errc::exists, consequence + ". Use --yes to replace it");
    if (confirmed(consequence + ".\nReplace it?")) return success();
    return fail(Errc::cancelled, "nothing was changed");
}

Result<SetupResult> make(const Invocation& call, const DispatcherConfig& config) {
    if (call.has("--if-missing")) return set_up_dispatcher_certificate(config);
    TRY_DO(confirm(call, config));
    return replace_dispatcher_certificate(config);
}

}  // namespace

int dispatcher_setup_ctrl_exec(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    if (call.has("--if-missing") && call.has("--yes"))
        return report(call, fail(Errc::usage, "--if-missing and --yes exclude each other"));
    const auto made = make(call, *config);
    if (!made) return report(call, made.error());
    const Certificate& certificate = made->certificate;
    if (call.has("--json")) {
        json::Object result{{"ok", 1},
                            {"cert", config->cert},
                            {"expiry", certificate.expiry_text()},
                            {"serial", certificate.serial()}};
        if (made->kept) result.push_back({"kept", 1});
        print_out(json::dump(json::Value(std::move(result))) + "\n");
        return 0;
    }
    if (made->kept) {
        print_out(fmt::format("{} exists, kept.\n", config->cert));
        return 0;
    }
    if (made->used_key) print_out(fmt::format("Using the existing key {}.\n", config->key));
    print_out(fmt::format("Dispatcher certificate created: {}, valid until {}.\nSerial: {}\n", config->cert,
                          certificate.expiry_text(), certificate.serial()));
    return 0;
}

}  // namespace ctrlexec
