#include "net/known_agent.h"

#include <fmt/format.h>

#include "core/log.h"
#include "core/timestamp.h"
#include "core/utf8.h"
#include "net/offload.h"

namespace ctrlexec {
namespace {

Error mismatch(const AgentRecord& agent, const PeerIdentity& peer) {
    return fail(
        Errc::key_mismatch,
        fmt::format("key mismatch: who answers is not the agent '{}' that was paired, but holds another "
                    "key, with a certificate for '{}'; nothing was sent; if the agent was made anew, "
                    "pair it again",
                    agent.hostname, printable(peer.common_name)),
        fmt::format("serial {}", peer.serial));
}

void log_mismatch(const AgentRecord& agent, const PeerIdentity& peer) {
    log_event(LogLevel::error, "key-mismatch",
              {{"CN", peer.common_name}, {"SERIAL", peer.serial}, {"TARGET", agent.hostname}});
}

void log_learned(const AgentRecord& agent, const Result<bool>& saved) {
    if (!saved) {
        log_event(LogLevel::error, "agent-learn-fail",
                  {{"ERROR", saved.error().text()}, {"TARGET", agent.hostname}});
    } else if (*saved) {
        log_event(LogLevel::notice, "agent-learn", {{"TARGET", agent.hostname}});
    }
}

// Whether the record says less than the peer's certificate.
bool is_news(const AgentRecord& agent, const PeerIdentity& peer) {
    if (agent.key.empty()) return true;
    if (agent.key != peer.key || agent.certificate_serial == peer.serial) return false;
    const auto recorded = parse_openssl_time(agent.expiry);
    return agent.certificate_serial.empty() || !recorded || peer.not_after >= *recorded;
}

bool take_news(AgentRecord& agent, const PeerIdentity& peer) {
    if (!is_news(agent, peer)) return false;  // paired or renewed meanwhile
    agent.key_learned = agent.key_learned || agent.key.empty();
    agent.key = peer.key;
    agent.certificate_serial = peer.serial;
    agent.expiry = openssl_time(peer.not_after);
    agent.cn = peer.common_name == agent.hostname ? std::string() : peer.common_name;
    return true;
}

}  // namespace

Result<Destination> destination_of(const Target& target, const Registry& registry, int default_port) {
    Destination found;
    found.address.host = target.host;
    found.address.port = default_port;
    auto record = registry.find(target.host);
    // A name that no file could have is in no registry.
    const bool unknown =
        !record && (record.error().code == Errc::not_found || record.error().code == Errc::bad_request);
    if (!record && !unknown) return record.error();
    AgentAddress& address = found.address;
    if (record && !is_ip_address(target.host)) {  // an address says itself where it is
        if (is_ip_address(record->ip)) address.fallback = record->ip;
        address.by_address = record->lookup_by == "ip" && !address.fallback.empty();
        if (record->agent_port != 0) address.port = record->agent_port;
    }
    if (target.port != 0) address.port = target.port;
    if (record) found.agent = std::move(*record);
    return found;
}

asio::awaitable<Result<void>> check_identity(Runtime& runtime, Registry registry, AgentRecord agent,
                                             PeerIdentity peer) {
    bool is_other = !agent.key.empty() && agent.key != peer.key;
    if (agent.key.empty() && peer.common_name != agent.common_name()) {
        std::function<Result<bool>()> work = [registry, name = peer.common_name]() -> Result<bool> {
            return registry.find(name).has_value();
        };
        const auto registered = co_await offload<bool>(runtime.pool(), file_timeout, std::move(work));
        is_other = !registered || *registered;
    }
    if (!is_other) co_return success();
    log_mismatch(agent, peer);
    co_return mismatch(agent, peer);
}

asio::awaitable<void> learn_identity(Runtime& runtime, Registry registry, AgentRecord agent,
                                     PeerIdentity peer) {
    if (!is_news(agent, peer)) co_return;
    std::function<Result<bool>()> work = [registry, name = agent.hostname, peer]() -> Result<bool> {
        bool changed = false;
        TRY_DO(registry.update(name, [&](AgentRecord& record) { return changed = take_news(record, peer); }));
        return changed;
    };
    const auto saved = co_await offload<bool>(runtime.pool(), file_timeout, std::move(work));
    log_learned(agent, saved);
}

}  // namespace ctrlexec
