// Usage: approve ID
// Signs the request, registers the agent, and leaves the answer for the listener that holds the agent's
// connection.
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/pairing_approval.h"
#include "core/timestamp.h"

namespace ctrlexec {

int dispatcher_approve(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto approval = approve_pairing(*config, call.operands[0], now_seconds());
    if (!approval) return report(call, approval.error());
    if (call.has("--json")) {
        print_out(json::dump(json::Object{{"ok", 1}, {"agent", approval->agent.to_json()}}) + "\n");
        return 0;
    }
    print_out(approval->text() + "\n");
    return 0;
}

}  // namespace ctrlexec
