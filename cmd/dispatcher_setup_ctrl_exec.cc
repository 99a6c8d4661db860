// Usage: setup-ctrl-exec [--yes]
// Makes the dispatcher's key (0600) and its certificate, signed by the CA. Agents trust a dispatcher by its
// serial, so replacing it while agents are registered cuts them off: that is asked first.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/authority.h"
#include "core/file.h"
#include "core/json.h"
#include "core/registry.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

constexpr int dispatcher_days = 825;
constexpr const char* common_name = "ctrl-exec";

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
    std::fprintf(stderr, "%s.\nReplace it? [y/N]: ", consequence.c_str());
    char answer[16] = {};
    const bool answered = std::fgets(answer, sizeof answer, stdin) != nullptr;
    if (answered && (answer[0] == 'y' || answer[0] == 'Y')) return success();
    return fail(Errc::cancelled, "nothing was changed");
}

Result<Certificate> make(const DispatcherConfig& config) {
    TRY(Authority authority, Authority::open(config.ca_dir));
    TRY(const PrivateKey key, PrivateKey::generate(config.key_type));
    TRY(const CertificateRequest request, CertificateRequest::create(key, common_name));
    TRY(Certificate certificate, authority.issue(request, common_name, dispatcher_days, now_seconds()));
    FileSet files;
    TRY_DO(files.stage(config.key, key.to_pem(), 0600));
    TRY_DO(files.stage(config.cert, certificate.to_pem(), 0644));
    TRY_DO(files.commit());
    return certificate;
}

}  // namespace

int dispatcher_setup_ctrl_exec(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    if (const auto go = confirm(call, *config); !go) return report(call, go.error());
    const auto certificate = make(*config);
    if (!certificate) return report(call, certificate.error());
    if (call.has("--json")) {
        print_out(json::dump(json::Object{{"ok", 1},
                                          {"cert", config->cert},
                                          {"expiry", certificate->expiry_text()},
                                          {"serial", certificate->serial()}}) +
                  "\n");
    } else {
        print_out(fmt::format("Dispatcher certificate created: {}, valid until {}.\nSerial: {}\n",
                              config->cert, certificate->expiry_text(), certificate->serial()));
    }
    return 0;
}

}  // namespace ctrlexec
