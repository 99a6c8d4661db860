// Usage: list-requests
// ID, HOSTNAME, IP, CODE, RECEIVED of every pairing request that waits.
#include "cmd/dispatcher_context.h"
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
        for (const auto& request : *requests) array.push_back(request.to_json());
        print_out(json::dump(json::Object{{"ok", 1}, {"requests", std::move(array)}}) + "\n");
        return 0;
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& r : *requests) rows.push_back({r.id, r.hostname, r.ip, r.code, r.received});
    print_out(format_table({"ID", "HOSTNAME", "IP", "CODE", "RECEIVED"}, rows));
    return 0;
}

}  // namespace ctrlexec
