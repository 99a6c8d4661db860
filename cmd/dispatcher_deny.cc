// Usage: deny ID
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/pairing_approval.h"
#include "core/timestamp.h"

namespace ctrlexec {

int dispatcher_deny(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto request = deny_pairing(*config, call.operands[0], now_seconds());
    if (!request) return report(call, request.error());
    if (call.has("--json")) {
        print_out(json::dump(json::Object{{"ok", 1}, {"id", request->id}}) + "\n");
    } else {
        print_out(denial_text(*request) + "\n");
    }
    return 0;
}

}  // namespace ctrlexec
