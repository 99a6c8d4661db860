// Usage: list-requests
// ID, HOSTNAME, IP, CODE, RECEIVED, TRUST of every pairing request that waits. Never the check code: who can
// copy it does not compare it.
#include "cmd/dispatcher_context.h"
#include "cmd/pairing_prompt.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/pairing_queue.h"
#include "core/timestamp.h"

namespace ctrlexec {

int dispatcher_list_requests(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto requests = PairingQueue(config->pairing_dir()).list(now_seconds());
    if (!requests) return report(call, requests.error());
    if (call.has("--json")) {
        json::Array array;
        for (const auto& request : *requests) {
            json::Value entry = request.to_json();
            entry.set("trust", request.trust());
            array.push_back(std::move(entry));
        }
        print_out(json::dump(json::Object{{"ok", 1}, {"requests", std::move(array)}}) + "\n");
        return 0;
    }
    std::vector<std::vector<std::string>> rows;
    bool has_legacy = false;
    for (const auto& r : *requests) {
        rows.push_back({r.id, r.hostname, r.ip, r.code, r.received, std::string(r.trust())});
        has_legacy = has_legacy || r.version < 2;
    }
    print_out(format_table({"ID", "HOSTNAME", "IP", "CODE", "RECEIVED", "TRUST"}, rows));
    if (has_legacy) {
        print_error_line(
            "legacy: pairs with the first protocol; the dispatcher is not authenticated to the agent, see "
            "docs/trust.md");
    }
    for (const auto& r : *requests) {
        const std::string note = broken_off_note(r);
        if (!note.empty()) print_error_line(r.id + ": " + note);
    }
    return 0;
}

}  // namespace ctrlexec
