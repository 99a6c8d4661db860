// Usage: dispatchers [--json]
//        dispatchers remove ID
// ID, SERIAL, STATUS, PAIRED, UNTIL of every serial that the agent knows of a dispatcher; remove takes one
// dispatcher off the list, and lets the agent that serves here know.
#include <fmt/format.h>

#include "cmd/allowlist_command.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/directory_lock.h"
#include "core/log.h"
#include "core/serial_list.h"
#include "core/timestamp.h"
#include "core/trusted_dispatchers.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

struct Row {
    const TrustedDispatcher* dispatcher;
    const TrustedSerial* serial;
    std::string status;

    std::string until() const { return serial->until ? iso8601(*serial->until) : std::string(); }
};

std::string status_of(const TrustedDispatcher& dispatcher, const TrustedSerial& serial,
                      const SerialList& revoked, std::int64_t now) {
    if (revoked.contains(serial.serial)) return "revoked";
    if (serial.until && *serial.until <= now) return "expired";
    return &serial == &dispatcher.serials.back() ? "current" : "previous";
}

std::vector<Row> rows_of(const TrustedDispatchers& trusted, const SerialList& revoked) {
    const std::int64_t now = now_seconds();
    std::vector<Row> rows;
    for (const auto& dispatcher : trusted.all()) {
        for (auto serial = dispatcher.serials.rbegin(); serial != dispatcher.serials.rend(); ++serial)
            rows.push_back({&dispatcher, &*serial, status_of(dispatcher, *serial, revoked, now)});
    }
    return rows;
}

void print_table(const std::vector<Row>& rows) {
    const auto or_dash = [](std::string text) { return text.empty() ? std::string("-") : text; };
    std::vector<std::vector<std::string>> cells;
    for (const auto& row : rows) {
        cells.push_back({row.dispatcher->id, row.serial->serial, row.status, or_dash(row.dispatcher->paired),
                         or_dash(row.until())});
    }
    print_out(format_table({"ID", "SERIAL", "STATUS", "PAIRED", "UNTIL"}, cells));
}

void print_json(const std::vector<Row>& rows) {
    json::Array list;
    for (const auto& row : rows) {
        list.emplace_back(json::Object{{"id", row.dispatcher->id},
                                       {"serial", row.serial->serial},
                                       {"status", row.status},
                                       {"paired", row.dispatcher->paired},
                                       {"until", row.until()}});
    }
    print_out(json::dump(json::Object{{"ok", 1}, {"dispatchers", std::move(list)}}) + "\n");
}

int show(const Invocation& call, const AgentConfig& config) {
    const auto trusted = TrustedDispatchers::load(config.dispatcher_serial_path);
    if (!trusted) return report(call, trusted.error());
    const auto revoked = SerialList::load(config.revoked_serials);
    if (!revoked) return report(call, revoked.error());
    const auto rows = rows_of(*trusted, *revoked);
    if (call.has("--json")) {
        print_json(rows);
    } else {
        print_table(rows);
    }
    if (trusted->emptied()) {
        print_error_line(fmt::format("{}: {} is empty or missing, and so nobody is trusted", call.program,
                                     config.dispatcher_serial_path));
    }
    return 0;
}

Result<void> remove(const AgentConfig& config, const std::string& id) {
    TRY(const auto lock, DirectoryLock::acquire(directory_of(config.dispatcher_serial_path)));
    TRY(auto trusted, TrustedDispatchers::load(config.dispatcher_serial_path));
    if (!trusted.remove(id)) {
        return fail(
            Errc::not_found,
            fmt::format("no dispatcher '{}'; 'ctrl-exec-agent dispatchers' lists them", printable(id)));
    }
    return trusted.store(config.dispatcher_serial_path);
}

}  // namespace

int agent_dispatchers(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::discard);
    const auto config = AgentConfig::load(call.text("--config", default_agent_config));
    if (!config) return report(call, config.error());
    if (call.operands.empty()) return show(call, *config);
    if (call.operands.size() != 2 || call.operands[0] != "remove") {
        return report(call, fail(Errc::usage, "dispatchers takes nothing, or 'remove' and an id"));
    }
    if (const auto removed = remove(*config, call.operands[1]); !removed)
        return report(call, removed.error());
    print_out(fmt::format("{} is not trusted any more.\n", call.operands[1]));
    return reload_after_change(call, *config);
}

}  // namespace ctrlexec
