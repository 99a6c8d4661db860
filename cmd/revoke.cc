#include "cmd/revoke.h"

#include <fmt/format.h>

#include "core/dispatcher_identity.h"
#include "core/log.h"
#include "core/revocation.h"
#include "core/serial.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

Result<Revoked> revoke(const DispatcherConfig& config, const std::string& serial, const std::string& whose) {
    Revoked revoked;
    revoked.serial = serial;
    const std::string comment =
        fmt::format("{}{}{}", whose, whose.empty() ? "" : ", ", iso8601(now_seconds()));
    TRY(revoked.changed, revoke_serial(config.revoked_serials(), serial, comment));
    if (revoked.changed) log_event(LogLevel::notice, "revoke", {{"HOST", whose}, {"SERIAL", serial}});
    return revoked;
}

}  // namespace

Result<Revoked> revoke_agent(const DispatcherConfig& config, const AgentRecord& agent) {
    const auto serial = normalize_serial(agent.certificate_serial);
    if (serial) return revoke(config, *serial, agent.hostname);
    return fail(
        Errc::not_found,
        fmt::format("the serial of {}'s certificate is not known; ping it once, or revoke the serial itself",
                    agent.hostname));
}

Result<Revoked> revoke_certificate(const DispatcherConfig& config, const std::string& name_or_serial) {
    const Registry registry(config.agents_dir());
    // An approval that did not see it yet is in the registry before those are listed who must be told.
    TRY(const FileLock held, registry.lock());
    const auto agent = registry.find(name_or_serial);
    if (agent) return revoke_agent(config, *agent);
    if (agent.error().code != Errc::not_found && agent.error().code != Errc::bad_request)
        return agent.error();
    TRY(const std::string serial, parse_serial_argument(name_or_serial));
    const auto own = load_dispatcher_certificate(config);
    if (own && own->serial() == serial) {
        return fail(Errc::denied,
                    fmt::format("{} is the serial of this dispatcher's own certificate; rotate it "
                                "first (`rotate-cert`), then revoke",
                                serial));
    }
    return revoke(config, serial, "");
}

}  // namespace ctrlexec
