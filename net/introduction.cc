#include "net/introduction.h"

#include <algorithm>
#include <optional>

#include "core/digest.h"
#include "core/dispatcher_id.h"
#include "core/dispatcher_identity.h"
#include "core/dispatcher_rotation.h"
#include "core/json.h"
#include "core/log.h"
#include "core/registry.h"
#include "core/serial.h"
#include "core/timestamp.h"
#include "net/agent_client.h"
#include "net/dispatcher_tls.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_tries = 3;  // of kept certificates

struct Credential {
    std::string serial;
    std::shared_ptr<TlsContext> tls;
};

struct Material {
    Credential current;
    std::vector<Credential> kept;  // the likeliest first
    std::string dispatcher_id;
};

Result<Credential> credential(const DispatcherConfig& config, const Identity& identity) {
    Credential made;
    made.serial = identity.certificate.serial();
    TRY(made.tls, dispatcher_tls(config, identity));
    return made;
}

Result<Material> load_material(const DispatcherConfig& config, const std::string& host) {
    Material material;
    TRY(const Identity current, load_dispatcher_identity(config));
    TRY(material.current, credential(config, current));
    TRY(material.dispatcher_id, dispatcher_id(config.state_dir));
    TRY(const RotationState state, RotationState::load(config.rotation_file()));
    std::vector<std::string> serials = state.kept;
    if (const auto record = Registry(config.agents_dir()).find(host)) {
        const std::string trusted = normalize_serial(record->dispatcher_serial).value_or("");
        std::stable_partition(serials.begin(), serials.end(),
                              [&](const std::string& serial) { return serial == trusted; });
    }
    for (const auto& serial : serials) {
        if (material.kept.size() == max_tries) break;
        if (serial == material.current.serial) continue;
        const auto identity = load_kept_identity(config, serial);
        if (!identity || identity->certificate.not_after() <= now_seconds()) continue;
        TRY(Credential kept, credential(config, *identity));
        material.kept.push_back(std::move(kept));
    }
    return material;
}

enum class Outcome { learnt, cannot_learn, does_not_trust, no_answer };

AgentCall question(const AgentCall& call, std::string target, json::Value body) {
    AgentCall asked = call;
    asked.method = "POST";
    asked.target = std::move(target);
    asked.body = json::dump(body);
    asked.repeatable = true;
    return asked;
}

AgentCall announcement(const AgentCall& call, const Material& material) {
    return question(call, "/rotate-serial",
                    json::Object{{"serial", material.current.serial},
                                 {"reqid", new_reqid()},
                                 {"dispatcher_id", material.dispatcher_id}});
}

AgentCall old_announcement(const AgentCall& call, const Material& material) {
    return question(call, "/run",
                    json::Object{{"script", "update-ctrl-exec-serial"},
                                 {"args", json::strings({material.current.serial})},
                                 {"reqid", new_reqid()},
                                 {"username", ""},
                                 {"token", ""}});
}

Outcome outcome_of(const Result<HttpMessage>& answer) {
    if (!answer) return Outcome::no_answer;
    if (answer->status == 403) return Outcome::does_not_trust;
    const auto body = json::parse(answer->body, 1u << 20);
    if (answer->status != 200 || !body) return Outcome::cannot_learn;
    const bool learnt = body->scalar("status") == "ok" || body->scalar("exit") == "0";
    return learnt ? Outcome::learnt : Outcome::cannot_learn;
}

void log_outcome(const std::string& host, const std::string& serial, Outcome outcome) {
    if (outcome == Outcome::learnt) {
        log_event(LogLevel::notice, "serial-confirmed", {{"HOST", host}, {"SERIAL", serial}});
    } else if (outcome == Outcome::cannot_learn) {
        log_event(LogLevel::warning, "serial-broadcast-fail",
                  {{"HOST", host},
                   {"REASON", "the agent does not learn the serial; the certificate it trusts is used"},
                   {"SERIAL", serial}});
    } else {
        log_event(
            LogLevel::warning, "serial-stale",
            {{"HOST", host}, {"REASON", "the agent trusts none of our certificates"}, {"SERIAL", serial}});
    }
}

// `serial` "": none that we know of.
asio::awaitable<void> note_trusted(Runtime& runtime, DispatcherConfig config, std::string host,
                                   std::string serial) {
    std::function<Result<bool>()> work = [config = std::move(config), host = std::move(host),
                                          serial = std::move(serial)]() -> Result<bool> {
        const Registry registry(config.agents_dir());
        std::function<bool(AgentRecord&)> change = [&serial](AgentRecord& record) {
            if (normalize_serial(record.dispatcher_serial).value_or("") == serial) return false;
            record.dispatcher_serial = serial;
            record.serial_status = serial.empty() ? "unknown" : "current";
            if (!serial.empty()) record.serial_confirmed = iso8601(now_seconds());
            return true;
        };
        TRY_DO(registry.update(host, change));
        return true;
    };
    (void)co_await offload<bool>(runtime.pool(), file_timeout, std::move(work));
}

asio::awaitable<Outcome> announce(Runtime& runtime, std::shared_ptr<const Material> material,
                                  std::size_t with, AgentCall call) {
    AgentCall asked = announcement(call, *material);
    auto answer = co_await call_agent(runtime, material->kept[with].tls, std::move(asked));
    if (answer && answer->status == 404) {
        AgentCall old = old_announcement(call, *material);
        answer = co_await call_agent(runtime, material->kept[with].tls, std::move(old));
    }
    co_return outcome_of(answer);
}

}  // namespace

bool does_not_know_us(const HttpMessage& answer) {
    if (answer.status != 403) return false;
    const auto body = json::parse(answer.body, 4096);
    const std::string error = body ? body->scalar("error") : std::string();
    return error == "serial mismatch" || error == "forbidden";
}

namespace {

struct Attempt {
    std::optional<Result<HttpMessage>> answer;  // nothing: the agent trusts none of the certificates
    bool all_asked = true;
};

// Nothing when the agent does not know that certificate.
asio::awaitable<std::optional<Result<HttpMessage>>> call_as(Runtime& runtime, std::shared_ptr<TlsContext> tls,
                                                            AgentCall call) {
    auto answer = co_await call_agent(runtime, std::move(tls), std::move(call));
    std::optional<Result<HttpMessage>> obeyed;
    if (!answer || !does_not_know_us(*answer)) obeyed.emplace(std::move(answer));
    co_return obeyed;
}

asio::awaitable<Attempt> introduce(Runtime& runtime, DispatcherConfig config,
                                   std::shared_ptr<const Material> material, AgentCall call) {
    const std::string host = call.address.host;
    Attempt attempt;
    for (std::size_t i = 0; i < material->kept.size(); ++i) {
        AgentCall asked = call;
        const Outcome outcome = co_await announce(runtime, material, i, std::move(asked));
        if (outcome == Outcome::no_answer) attempt.all_asked = false;
        if (outcome == Outcome::no_answer || outcome == Outcome::does_not_trust) continue;
        log_outcome(host, material->current.serial, outcome);
        std::string serial = material->current.serial;
        if (outcome == Outcome::learnt) {
            AgentCall again = call;
            attempt.answer = co_await call_as(runtime, material->current.tls, std::move(again));
        }
        if (!attempt.answer) {
            AgentCall again = call;
            serial = material->kept[i].serial;
            attempt.answer = co_await call_as(runtime, material->kept[i].tls, std::move(again));
        }
        if (!attempt.answer) continue;
        if (attempt.answer->has_value())
            co_await note_trusted(runtime, std::move(config), host, std::move(serial));
        break;
    }
    co_return attempt;
}

}  // namespace

asio::awaitable<Result<HttpMessage>> call_after_introduction(Runtime& runtime, DispatcherConfig config,
                                                             std::string serial, AgentCall call,
                                                             HttpMessage refusal) {
    constexpr int attempts = 2;
    const std::string host = call.address.host;
    bool all_asked = true;
    // More than one, since somebody else may introduce the agent at the same time, and it takes from an old
    // one the certificate that we were about to show it.
    for (int i = 0; i < attempts; ++i) {
        std::function<Result<Material>()> load = [config, host] { return load_material(config, host); };
        auto loaded = co_await offload<Material>(runtime.pool(), file_timeout, std::move(load));
        if (!loaded) co_return std::move(refusal);
        const auto material = std::make_shared<const Material>(std::move(*loaded));
        if (i > 0 || material->current.serial != serial) {
            AgentCall again = call;
            auto answer = co_await call_as(runtime, material->current.tls, std::move(again));
            if (answer) co_return std::move(*answer);
        }
        AgentCall again = call;
        Attempt attempt = co_await introduce(runtime, config, material, std::move(again));
        if (attempt.answer) co_return std::move(*attempt.answer);
        all_asked = all_asked && attempt.all_asked;
        if (material->kept.empty() && i > 0) break;
    }
    if (all_asked) {
        log_outcome(host, serial, Outcome::does_not_trust);
        co_await note_trusted(runtime, std::move(config), host, std::string());
    }
    co_return std::move(refusal);
}

}  // namespace ctrlexec
