// Usage: unpair NAME [--revoke]
// Forgets the agent. Its certificate stays valid until it expires, which is said, or is revoked.
#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/revoke.h"
#include "cmd/verbs.h"
#include "core/join_redemption.h"
#include "core/log.h"
#include "core/registry.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {

int dispatcher_unpair(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const Registry registry(config->agents_dir());
    const auto held = registry.lock();
    if (!held) return report(call, held.error());
    const auto record = registry.find(call.operands[0]);
    if (!record) return report(call, record.error());
    std::string revoked;
    if (call.has("--revoke")) {
        const auto done = revoke_agent(*config, *record);
        if (!done) return report(call, done.error());
        revoked = done->serial;
    }
    // Else its request would still get its certificate from the join token that it came with.
    if (const auto withdrawn = withdraw_redemption(*config, *record, now_seconds()); !withdrawn)
        return report(call, withdrawn.error());
    if (const auto removed = registry.remove(record->hostname); !removed)
        return report(call, removed.error());
    log_event(LogLevel::notice, "unpair", {{"HOST", record->hostname}});
    if (call.has("--json")) {
        json::Object result{{"ok", 1}, {"hostname", record->hostname}, {"expiry", record->expiry}};
        if (!revoked.empty()) result.push_back({"revoked", revoked});
        print_out(json::dump(json::Value(std::move(result))) + "\n");
    } else if (!revoked.empty()) {
        print_out(fmt::format("Unpaired: {}. Its certificate, serial {}, is revoked.\n", record->hostname,
                              revoked));
    } else {
        print_out(fmt::format("Unpaired: {}. Its certificate stays valid until {}.\n", record->hostname,
                              printable(record->expiry)));
    }
    return 0;
}

}  // namespace ctrlexec
