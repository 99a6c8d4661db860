// Usage: serial-status
// The serials of the dispatcher's certificates, and what each agent is known to trust. Asks nobody.
#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/dispatcher_identity.h"
#include "core/json.h"
#include "core/registry.h"
#include "core/rotation_state.h"
#include "core/serial_status.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

struct Facts {
    std::string serial, expiry;
    RotationState state;
    RegistryListing listing;
    std::int64_t now = 0;

    // One that is in use already is pending no more, whatever a killed process has left in rotation.json.
    std::string pending() const { return state.pending_serial == serial ? "" : state.pending_serial; }
    std::string previous() const {
        return state.pending_serial == serial && !serial.empty() ? state.current_serial
                                                                 : state.previous_serial;
    }
    std::string status(const AgentRecord& agent) const {
        return std::string(serial_status(agent, serial, state, now));
    }
};

Result<Facts> read_facts(const DispatcherConfig& config) {
    Facts facts;
    TRY(const Identity identity, load_dispatcher_identity(config));
    facts.serial = identity.certificate.serial();
    facts.expiry = identity.certificate.expiry_text();
    TRY(facts.state, RotationState::load(config.rotation_file()));
    TRY(facts.listing, Registry(config.agents_dir()).list());
    facts.now = now_seconds();
    return facts;
}

std::string overlap_text(const Facts& facts) {
    return facts.state.overlap_expires == 0 ? "" : iso8601(facts.state.overlap_expires);
}

void print_json(const Facts& facts) {
    json::Array agents;
    for (const auto& agent : facts.listing.agents) {
        agents.push_back(json::Object{{"hostname", agent.hostname},
                                      {"status", facts.status(agent)},
                                      {"serial", agent.dispatcher_serial},
                                      {"confirmed", agent.serial_confirmed},
                                      {"broadcast", agent.serial_broadcast}});
    }
    print_out(json::dump(json::Object{{"ok", facts.listing.problems.empty() ? 1 : 0},
                                      {"current_serial", facts.serial},
                                      {"expiry", facts.expiry},
                                      {"pending_serial", facts.pending()},
                                      {"phase", facts.pending().empty() ? "" : phase_name(facts.state.phase)},
                                      {"previous_serial", facts.previous()},
                                      {"overlap_expires", overlap_text(facts)},
                                      {"kept", json::strings(facts.state.kept)},
                                      {"agents", std::move(agents)}}) +
              "\n");
}

void print_text(const Facts& facts) {
    print_out(fmt::format("Current serial:  {}, valid until {}\n", facts.serial, facts.expiry));
    if (!facts.pending().empty())
        print_out(fmt::format("Pending serial:  {} ({})\n", facts.pending(), phase_name(facts.state.phase)));
    if (!facts.previous().empty()) {
        print_out(fmt::format(
            "Previous serial: {}{}\n", facts.previous(),
            facts.state.overlap_expires == 0 ? std::string() : ", overlap until " + overlap_text(facts)));
    }
    print_out("\n");
    std::vector<std::vector<std::string>> rows;
    for (const auto& agent : facts.listing.agents)
        rows.push_back(
            {agent.hostname, facts.status(agent), agent.dispatcher_serial, agent.serial_confirmed});
    print_out(format_table({"HOSTNAME", "STATUS", "TRUSTS SERIAL", "CONFIRMED"}, rows));
}

}  // namespace

int dispatcher_serial_status(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto facts = read_facts(*config);
    if (!facts) return report(call, facts.error());
    if (call.has("--json")) {
        print_json(*facts);
    } else {
        print_text(*facts);
    }
    for (const auto& problem : facts->listing.problems)
        print_error_line(fmt::format("{}: {}", call.program, problem));
    return facts->listing.problems.empty() ? 0 : 1;
}

}  // namespace ctrlexec
