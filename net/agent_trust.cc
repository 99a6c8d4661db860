#include "net/agent_trust.h"

#include <fmt/format.h>

#include "core/agent_renewal.h"
#include "core/directory_lock.h"
#include "core/leftovers.h"
#include "core/log.h"
#include "core/serial.h"
#include "core/serial_list_edit.h"
#include "core/timestamp.h"
#include "net/offload.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_body = 1u << 20;
constexpr std::size_t max_revoked_at_once = 1000;
constexpr std::int64_t leftover_age = 60;  // seconds

// One request of a known dispatcher.
struct Ask {
    std::shared_ptr<const AgentSnapshot> snapshot;
    AgentPeer peer;
    std::string action;  // as it is logged
    std::string reqid;
    json::Value body;
};

HttpAnswer refuse(const Ask& ask, const Error& why) {
    log_event(LogLevel::warning, ask.action,
              {{"DISPATCHER", ask.peer.dispatcher},
               {"PEER", ask.peer.ip},
               {"REASON", why.text()},
               {"REQID", ask.reqid},
               {"RESULT", "refused"}});
    return json_answer(200,
                       json::Object{{"status", "error"}, {"error", why.message}, {"reqid", echo(ask.reqid)}});
}

// `key` and `value`: what the answer tells besides, and the log as `field`.
HttpAnswer done(const Ask& ask, std::string_view key, json::Value value, std::string_view field,
                std::string text) {
    log_event(LogLevel::notice, ask.action,
              {{"DISPATCHER", ask.peer.dispatcher},
               {"PEER", ask.peer.ip},
               {"REQID", ask.reqid},
               {"RESULT", "ok"},
               {field, std::move(text)}});
    json::Object answer{{"status", "ok"}};
    if (!key.empty()) answer.push_back({std::string(key), std::move(value)});
    answer.push_back({"reqid", echo(ask.reqid)});
    return json_answer(200, json::Value(std::move(answer)));
}

asio::awaitable<HttpAnswer> renew(std::shared_ptr<const Ask> ask, AgentHost& host) {
    std::function<Result<std::string>()> work = [ask] { return renewal_request(ask->snapshot->config); };
    auto csr = co_await offload<std::string>(host.runtime().pool(), file_timeout, std::move(work));
    if (!csr) co_return refuse(*ask, csr.error());
    json::Value pem(std::move(*csr));
    co_return done(*ask, "csr", std::move(pem), "SERIAL", ask->snapshot->certificate_serial);
}

// The new certificate's serial, "" when it is the one that is there.
Result<std::string> store_renewal(const Ask& ask) {
    TRY(const Renewal renewal,
        complete_renewal(ask.snapshot->config, ask.body.text("cert"), ask.body.text("ca"), now_seconds()));
    return renewal.identity.certificate.serial();
}

asio::awaitable<HttpAnswer> renew_complete(std::shared_ptr<const Ask> ask, AgentHost& host) {
    std::function<Result<std::string>()> work = [ask] { return store_renewal(*ask); };
    auto serial = co_await offload<std::string>(host.runtime().pool(), file_timeout, std::move(work));
    if (!serial) co_return refuse(*ask, serial.error());
    if (const auto used = host.reread(AgentPart::identity); !used) co_return refuse(*ask, used.error());
    co_return done(*ask, "", json::Value(), "SERIAL", std::move(*serial));
}

Result<void> store_rotation(const AgentConfig& config, const std::string& asking,
                            const SerialRotation& rotation) {
    const std::string& path = config.dispatcher_serial_path;
    TRY(const auto lock, DirectoryLock::acquire(directory_of(path)));
    TRY(auto trusted, TrustedDispatchers::load(path));
    TRY(const SerialList revoked, SerialList::load(config.revoked_serials));
    if (revoked.contains(rotation.serial))
        return fail(Errc::denied, fmt::format("serial {} is revoked", rotation.serial));
    TRY_DO(trusted.rotate(asking, rotation, now_seconds()));
    TRY_DO(trusted.store(path));
    (void)remove_leftovers(path, leftover_age);
    (void)remove_leftovers(TrustedDispatchers::path_beside(path), leftover_age);
    return success();
}

asio::awaitable<Result<void>> take_rotation(std::shared_ptr<const AgentSnapshot> snapshot, std::string asking,
                                            SerialRotation rotation, AgentHost& host) {
    std::function<Result<bool>()> work = [snapshot, asking, rotation]() -> Result<bool> {
        TRY_DO(store_rotation(snapshot->config, asking, rotation));
        return true;
    };
    CO_TRY(const bool stored, co_await offload<bool>(host.runtime().pool(), file_timeout, std::move(work)));
    (void)stored;
    co_return host.reread(AgentPart::dispatchers);
}

asio::awaitable<HttpAnswer> rotate(std::shared_ptr<const Ask> ask, AgentHost& host) {
    auto rotation = SerialRotation::from_json(ask->body);
    if (!rotation) co_return refuse(*ask, rotation.error());
    std::string serial = rotation->serial;
    const auto taken = co_await take_rotation(ask->snapshot, ask->peer.serial, std::move(*rotation), host);
    if (!taken) co_return refuse(*ask, taken.error());
    json::Value told(serial);
    co_return done(*ask, "serial", std::move(told), "SERIAL", std::move(serial));
}

Result<std::vector<std::string>> serials_to_revoke(const Ask& ask) {
    const json::Value* list = ask.body.find("serials");
    if (list == nullptr || list->if_array() == nullptr || list->if_array()->empty() ||
        list->if_array()->size() > max_revoked_at_once) {
        return fail(Errc::bad_request,
                    fmt::format("serials must be a list of 1 to {} hex numbers", max_revoked_at_once));
    }
    std::vector<std::string> serials;
    for (const auto& item : *list->if_array()) {
        const auto serial = normalize_serial(item.if_string() == nullptr ? "" : *item.if_string());
        if (!serial) return fail(Errc::bad_request, "serials must be hex numbers");
        if (*serial == ask.peer.serial)
            return fail(Errc::denied, "a dispatcher cannot revoke the certificate that it asks with");
        serials.push_back(*serial);
    }
    return serials;
}

asio::awaitable<HttpAnswer> revoke(std::shared_ptr<const Ask> ask, AgentHost& host) {
    auto serials = serials_to_revoke(*ask);
    if (!serials) co_return refuse(*ask, serials.error());
    std::function<Result<std::size_t>()> work = [ask, list = std::move(*serials)] {
        return add_serials(ask->snapshot->config.revoked_serials, list);
    };
    const auto added = co_await offload<std::size_t>(host.runtime().pool(), file_timeout, std::move(work));
    if (!added) co_return refuse(*ask, added.error());
    if (const auto used = host.reread(AgentPart::revoked); !used) co_return refuse(*ask, used.error());
    json::Value count(static_cast<std::int64_t>(*added));
    co_return done(*ask, "added", std::move(count), "SERIALS", std::to_string(*added));
}

}  // namespace

bool is_trust_route(const HttpMessage& request) {
    return request.method == "POST" && (request.target == "/renew" || request.target == "/renew-complete" ||
                                        request.target == "/rotate-serial" || request.target == "/revoke");
}

asio::awaitable<HttpAnswer> answer_trust_request(std::shared_ptr<const AgentSnapshot> snapshot,
                                                 AgentPeer peer, HttpMessage request, AgentHost& host) {
    auto ask = std::make_shared<Ask>();
    ask->snapshot = std::move(snapshot);
    ask->peer = std::move(peer);
    ask->action = request.target.substr(1);
    auto body = json::parse(request.body, max_body);
    if (body) ask->reqid = body->scalar("reqid");
    if (request.target == "/renew") co_return co_await renew(std::move(ask), host);
    if (!body || body->if_object() == nullptr) {
        const Error why = fail(Errc::bad_request, "invalid JSON");
        co_return refuse(*ask, why);
    }
    ask->body = std::move(*body);
    if (request.target == "/renew-complete") co_return co_await renew_complete(std::move(ask), host);
    if (request.target == "/revoke") co_return co_await revoke(std::move(ask), host);
    co_return co_await rotate(std::move(ask), host);
}

asio::awaitable<Result<void>> update_serial(std::shared_ptr<const AgentSnapshot> snapshot, AgentPeer peer,
                                            RunRequest request, AgentHost& host) {
    if (request.arguments.size() != 1) co_return fail(Errc::bad_request, "one argument: the new serial");
    const auto serial = normalize_serial(request.arguments[0]);
    if (!serial) co_return fail(Errc::bad_request, "the new serial must be a hex number");
    SerialRotation rotation;
    rotation.serial = *serial;
    co_return co_await take_rotation(std::move(snapshot), std::move(peer.serial), std::move(rotation), host);
}

}  // namespace ctrlexec
