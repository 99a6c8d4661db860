// Usage: pairing-confirm CODE | --discard
// The check code that the dispatcher shows: with the right one, the answer that waits for it is stored.
#include <fmt/format.h>

#include "cmd/pairing_request.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "core/staged_pairing.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

Result<void> confirm(const AgentConfig& config, const std::string& code) {
    auto staged = load_staged_pairing(config, now_seconds());
    if (!staged && staged.error().code == Errc::not_found) {
        return fail(Errc::not_found,
                    "no answer of a dispatcher waits to be confirmed here; request-pairing asks for one");
    }
    if (!staged && staged.error().code == Errc::timed_out)
        (void)remove_file(staged_pairing_path(config));  // a key is in it
    if (!staged) return staged.error();
    NewPairing& pairing = staged->pairing;
    if (!is_check_code(code, pairing.sas)) {
        log_event(LogLevel::warning, "pair-confirm-mismatch",
                  {{"HOST", config.hostname}, {"REQID", pairing.reqid}});
        return fail(Errc::denied,
                    fmt::format("that is not the check code of request {} to {}; nothing was stored. If you "
                                "typed what the dispatcher shows, somebody is in the path: pairing-confirm "
                                "--discard, and ask again with --ca-pin",
                                pairing.reqid, pairing.dispatcher));
    }
    pairing.proof = PairingProof::check_code;
    return store_and_log(config, pairing);
}

}  // namespace

int agent_pairing_confirm(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    const bool discard = call.has("--discard");
    if (call.operands.empty() != discard)
        return report(call, fail(Errc::usage, "pairing-confirm needs the check code, or --discard"));
    const auto config = AgentConfig::load(call.text("--config", default_agent_config));
    if (!config) return report(call, config.error());
    if (discard) {
        if (const auto removed = remove_file(staged_pairing_path(*config)); !removed)
            return report(call, removed.error());
        print_out("Discarded: no answer waits to be confirmed.\n");
        return 0;
    }
    if (const auto done = confirm(*config, call.operands[0]); !done) return report(call, done.error());
    print_paired(*config);
    return 0;
}

}  // namespace ctrlexec
