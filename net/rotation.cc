#include "net/rotation.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/digest.h"
#include "core/dispatcher_id.h"
#include "core/dispatcher_identity.h"
#include "core/dispatcher_rotation.h"
#include "core/dispatcher_setup.h"
#include "core/fault_point.h"
#include "core/log.h"
#include "core/serial.h"
#include "core/serial_status.h"
#include "core/timestamp.h"
#include "net/dispatch.h"
#include "net/fan_out.h"

namespace ctrlexec {
namespace {

constexpr std::int64_t day = 86400;
constexpr std::chrono::seconds key_timeout{120};  // RSA on a slow machine

struct Round {
    DispatcherConfig config;
    std::shared_ptr<DispatcherRotation> rotation;
    std::vector<AgentRecord> agents;
    std::string dispatcher_id;
    RotationReport report;
};
using RoundPtr = std::shared_ptr<Round>;

// Logging and JSON stay out of coroutines: g++ 12 miscompiles initializer lists there.
json::Value announcement(const Round& round, const std::string& serial, std::int64_t until) {
    json::Value body(
        json::Object{{"serial", serial}, {"reqid", new_reqid()}, {"dispatcher_id", round.dispatcher_id}});
    if (until != 0) body.set("until", until);
    return body;
}

void log_confirmed(const std::string& host, const std::string& serial) {
    log_event(LogLevel::info, "serial-confirmed", {{"HOST", host}, {"SERIAL", serial}});
}

void log_failed(const std::string& host, const std::string& serial, const std::string& why) {
    log_event(LogLevel::warning, "serial-broadcast-fail",
              {{"HOST", host}, {"REASON", why}, {"SERIAL", serial}});
}

void log_round_failed(const Error& why) {
    log_event(LogLevel::error, "cert-rotation-fail", {{"REASON", why.text()}});
}

Target target_of(const AgentRecord& agent) {
    Target target;
    target.host = agent.hostname;
    return target;
}

bool trusts(const AgentRecord& agent, const std::string& serial) {
    return normalize_serial(agent.dispatcher_serial).value_or("") == serial;
}

bool settled(const AgentRecord& agent, const std::string& serial) {
    return agent.other.scalar("serial_settled") == serial;
}

Result<bool> read_round(const RoundPtr& round) {
    TRY(DispatcherRotation rotation, DispatcherRotation::open(round->config));
    round->rotation = std::make_shared<DispatcherRotation>(std::move(rotation));
    TRY(RegistryListing listing, Registry(round->config.agents_dir()).list());
    round->agents = std::move(listing.agents);
    TRY(round->dispatcher_id, dispatcher_id(round->config.state_dir));
    return true;
}

enum class Knows { announced, settled };

// The agent has said that it trusts `serial`.
Result<bool> note_confirmed(const DispatcherConfig& config, const std::string& host,
                            const std::string& serial, Knows knows) {
    std::function<bool(AgentRecord&)> change = [&](AgentRecord& record) {
        if (!trusts(record, serial) || record.serial_confirmed.empty())
            record.serial_confirmed = iso8601(now_seconds());
        record.dispatcher_serial = serial;
        record.serial_status = "current";
        record.serial_broadcast = iso8601(now_seconds());
        if (knows == Knows::settled) record.other.set("serial_settled", serial);
        return true;
    };
    TRY_DO(Registry(config.agents_dir()).update(host, change));
    return true;
}

asio::awaitable<Result<bool>> confirmed(Runtime& runtime, DispatcherConfig config, std::string host,
                                        std::string serial, Knows knows) {
    log_confirmed(host, serial);
    std::function<Result<bool>()> work = [config = std::move(config), host, serial, knows] {
        return note_confirmed(config, host, serial, knows);
    };
    auto noted = co_await offload<bool>(runtime.pool(), file_timeout, std::move(work));
    // Unpaired meanwhile: there is nobody to note it of.
    if (!noted && noted.error().code == Errc::not_found) co_return true;
    if (noted) fault_point(knows == Knows::settled ? "rotate-settled-one" : "rotate-announced-one");
    co_return noted;
}

// An agent that does not obey us at all is not cut off by a switch either.
bool would_not_learn(const Error& error) {
    return error.code == Errc::bad_answer ||
           (error.code == Errc::denied && !error.message.starts_with("forbidden"));
}

// Told with the certificate in use of the staged one.
asio::awaitable<void> announce_to(Runtime& runtime, const Dispatch& dispatch, RoundPtr round,
                                  AgentRecord agent) {
    const std::string serial = round->rotation->state().pending_serial;
    if (trusts(agent, serial)) {
        ++round->report.confirmed;
        co_return;
    }
    json::Value body = announcement(*round, serial, 0);
    Target target = target_of(agent);
    const auto answer = co_await dispatch.ask(std::move(target), "/rotate-serial", std::move(body));
    if (answer) {
        const auto noted =
            co_await confirmed(runtime, round->config, agent.hostname, serial, Knows::announced);
        if (noted) {
            ++round->report.confirmed;
        } else {
            round->report.refused.emplace_back(agent.hostname, noted.error().text());
        }
        co_return;
    }
    const std::string why = answer.error().text();
    if (answer.error().code == Errc::not_found) {
        round->report.old.emplace_back(agent.hostname, "an old agent: told after the switch");
        co_return;
    }
    log_failed(agent.hostname, serial, why);
    auto& list = would_not_learn(answer.error()) ? round->report.refused : round->report.unreachable;
    list.emplace_back(agent.hostname, why);
}

asio::awaitable<bool> is_known_to_trust(Runtime& runtime, DispatcherConfig config, std::string host,
                                        std::string serial) {
    std::function<Result<bool>()> look = [config = std::move(config), host, serial]() -> Result<bool> {
        TRY(const AgentRecord record, Registry(config.agents_dir()).find(host));
        return trusts(record, serial);
    };
    const auto known = co_await offload<bool>(runtime.pool(), file_timeout, std::move(look));
    co_return known&&* known;
}

// After a switch: whether it obeys the certificate in use, or can be made to. Why not, "" when it does.
asio::awaitable<std::string> tell_old_agent(Runtime& runtime, const Dispatch& dispatch, RoundPtr round,
                                            AgentRecord agent) {
    const std::string serial = round->rotation->state().current_serial;
    const Dispatch plain = dispatch.without_introduction();
    json::Value question = announcement(*round, serial, 0);
    Target target = target_of(agent);
    const auto pong = co_await plain.ask(std::move(target), "/ping", std::move(question));
    if (pong) co_return std::string();
    if (pong.error().code != Errc::denied) co_return pong.error().text();
    json::Value again = announcement(*round, serial, 0);
    target = target_of(agent);
    const auto introduced = co_await dispatch.ask(std::move(target), "/ping", std::move(again));
    if (!introduced) co_return introduced.error().text();
    // The introduction has noted which certificate it answered to.
    const bool learnt = co_await is_known_to_trust(runtime, round->config, agent.hostname, serial);
    co_return learnt ? std::string()
                     : std::string(
                           "an old agent that does not learn; the certificate it trusts "
                           "is used");
}

// Told with the certificate in use until when the previous one counts. An agent that has missed the
// announcement is introduced to it on the way (net/introduction), an old one by a ping.
asio::awaitable<void> settle_with(Runtime& runtime, const Dispatch& dispatch, RoundPtr round,
                                  AgentRecord agent) {
    const RotationState& state = round->rotation->state();
    const std::string serial = state.current_serial;
    if (trusts(agent, serial) && settled(agent, serial)) {
        ++round->report.confirmed;
        co_return;
    }
    json::Value body = announcement(*round, serial, state.overlap_expires);
    Target target = target_of(agent);
    const auto answer = co_await dispatch.ask(std::move(target), "/rotate-serial", std::move(body));
    std::string why = answer ? std::string() : answer.error().text();
    const bool refused = !answer && would_not_learn(answer.error());
    if (!answer && answer.error().code == Errc::not_found)
        why = co_await tell_old_agent(runtime, dispatch, round, agent);
    if (why.empty()) {
        (void)co_await confirmed(runtime, round->config, agent.hostname, serial, Knows::settled);
        ++round->report.confirmed;
        co_return;
    }
    log_failed(agent.hostname, serial, why);
    (refused ? round->report.refused : round->report.unreachable).emplace_back(agent.hostname, why);
}

using Step = asio::awaitable<void> (*)(Runtime&, const Dispatch&, RoundPtr, AgentRecord);

asio::awaitable<void> with_each(Runtime& runtime, const Dispatch& dispatch, RoundPtr round, Step step) {
    round->report.confirmed = 0;
    round->report.unreachable.clear();
    round->report.refused.clear();
    std::function<asio::awaitable<void>(std::size_t)> one = [&, round, step](std::size_t i) {
        return step(runtime, dispatch, round, round->agents[i]);
    };
    co_await fan_out(runtime, round->agents.size(), static_cast<std::size_t>(round->config.max_parallel),
                     std::move(one));
}

// A rotation must come to its end before the certificate in use does.
Result<bool> is_overdue(const DispatcherConfig& config) {
    TRY(const Identity staged, load_staged_identity(config));
    TRY(const Identity current, load_dispatcher_identity(config));
    const std::int64_t now = now_seconds();
    return now - staged.certificate.not_before() > config.cert_overlap_days * day ||
           current.certificate.not_after() - now < 7 * day;
}

asio::awaitable<Result<bool>> work_on(Runtime& runtime, RoundPtr round,
                                      std::function<Result<void>(Round&)> change) {
    std::function<Result<bool>()> work = [round, change = std::move(change)]() -> Result<bool> {
        TRY_DO(change(*round));
        return true;
    };
    co_return co_await offload<bool>(runtime.pool(), key_timeout, std::move(work));
}

Result<void> switch_over(Round& round) {
    TRY_DO(round.rotation->switch_over(now_seconds()));
    round.report.switched = true;
    return success();
}

// What is known of the agents after the round decides which kept certificates may go.
Result<void> end_round(Round& round) {
    TRY(const RegistryListing listing, Registry(round.config.agents_dir()).list());
    const std::string current = round.rotation->state().current_serial;
    std::vector<std::string> needed;
    bool all_settled = listing.problems.empty();
    for (const auto& agent : listing.agents) {
        needed.push_back(normalize_serial(agent.dispatcher_serial).value_or(""));
        all_settled = all_settled && settled(agent, current);
    }
    if (!round.rotation->has_pending()) TRY_DO(round.rotation->retire(needed, all_settled, now_seconds()));
    TRY(const Identity identity, load_dispatcher_identity(round.config));
    round.report.serial = identity.certificate.serial();
    round.report.expiry = identity.certificate.expiry_text();
    round.report.pending = round.rotation->state().pending_serial;
    return success();
}

// The registry's own word for it, which 0.8.4 reads.
Result<void> note_statuses(Round& round) {
    const Registry registry(round.config.agents_dir());
    const RotationState& state = round.rotation->state();
    for (const auto& agent : round.agents) {
        std::function<bool(AgentRecord&)> change = [&](AgentRecord& record) {
            const std::string status(serial_status(record, round.report.serial, state, now_seconds()));
            if (record.serial_status == status) return false;
            record.serial_status = status;
            return true;
        };
        const auto updated = registry.update(agent.hostname, change);
        if (!updated && updated.error().code != Errc::not_found) return updated.error();
    }
    return success();
}

asio::awaitable<Result<void>> announce_and_switch(Runtime& runtime, RoundPtr round,
                                                  RotationSwitch condition) {
    CO_TRY(const Dispatch dispatch,
           Dispatch::create(runtime, round->config, Dispatch::Connections::one_each));
    co_await with_each(runtime, dispatch, round, announce_to);
    const auto overdue = is_overdue(round->config);
    const bool forced = condition == RotationSwitch::always || (overdue && *overdue);
    if (!round->report.refused.empty() && !forced) co_return success();
    std::function<Result<void>(Round&)> announced = [](Round& r) { return r.rotation->note_announced(); };
    CO_TRY_DO(co_await work_on(runtime, round, std::move(announced)));
    std::function<Result<void>(Round&)> change = switch_over;
    CO_TRY_DO(co_await work_on(runtime, round, std::move(change)));
    co_return success();
}

}  // namespace

asio::awaitable<Result<RotationReport>> rotate_certificate(Runtime& runtime, DispatcherConfig config,
                                                           RotationStart start, RotationSwitch condition) {
    const auto round = std::make_shared<Round>();
    round->config = std::move(config);
    std::function<Result<bool>()> open = [round] { return read_round(round); };
    CO_TRY_DO(co_await offload<bool>(runtime.pool(), file_timeout, std::move(open)));
    if (!round->rotation->has_pending() && start == RotationStart::yes) {
        std::function<Result<void>(Round&)> stage = [](Round& r) { return r.rotation->stage(); };
        CO_TRY_DO(co_await work_on(runtime, round, std::move(stage)));
    }
    if (round->rotation->has_pending()) CO_TRY_DO(co_await announce_and_switch(runtime, round, condition));
    if (round->rotation->state().phase == RotationState::Phase::switched) {
        std::function<Result<bool>()> read = [round]() -> Result<bool> {
            TRY(RegistryListing listing, Registry(round->config.agents_dir()).list());
            round->agents = std::move(listing.agents);
            return true;
        };
        CO_TRY_DO(co_await offload<bool>(runtime.pool(), file_timeout, std::move(read)));
        CO_TRY(const Dispatch dispatch,
               Dispatch::create(runtime, round->config, Dispatch::Connections::one_each));
        co_await with_each(runtime, dispatch, round, settle_with);
    }
    std::function<Result<void>(Round&)> end = [](Round& r) -> Result<void> {
        TRY_DO(end_round(r));
        return note_statuses(r);
    };
    CO_TRY_DO(co_await work_on(runtime, round, std::move(end)));
    co_return std::move(round->report);
}

namespace {

// Whether the certificate in use is near its end, and a new one would have a later one.
Result<bool> is_due(const DispatcherConfig& config) {
    TRY(const Certificate current, load_dispatcher_certificate(config));
    TRY(const Certificate authority, Certificate::from_file(config.ca_dir + "/ca.crt"));
    const std::int64_t now = now_seconds();
    // A threshold beyond half of its life would rotate without end.
    const std::int64_t threshold =
        std::min<std::int64_t>(config.cert_renewal_days, dispatcher_days / 2) * day;
    if (current.not_after() - now >= threshold) return false;
    const std::int64_t next_end = std::min(now + dispatcher_days * day, authority.not_after());
    if (next_end - current.not_after() >= day) return true;
    log_round_failed(fail(Errc::config, fmt::format("the dispatcher's certificate ends with the CA, {}; run "
                                                    "`ctrl-exec-dispatcher renew-ca`",
                                                    authority.expiry_text())));
    return false;
}

// What a round has to do, found out without the lock, so that the many rounds with nothing to do stand in
// nobody's way.
enum class RoundWork { nothing, rest, whole };

Result<RoundWork> round_work(const DispatcherConfig& config) {
    TRY(const bool due, is_due(config));
    if (due) return RoundWork::whole;
    TRY(const RotationState state, RotationState::load(config.rotation_file()));
    return state.pending_serial.empty() && state.kept.empty() ? RoundWork::nothing : RoundWork::rest;
}

}  // namespace

asio::awaitable<void> continue_rotation(Runtime& runtime, const DispatcherConfig& config) {
    DispatcherConfig own = config;
    std::function<Result<RoundWork>()> look = [own] { return round_work(own); };
    const auto work = co_await offload<RoundWork>(runtime.pool(), file_timeout, std::move(look));
    if (!work) {
        log_round_failed(work.error());
        co_return;
    }
    if (*work == RoundWork::nothing) co_return;
    const RotationStart start = *work == RoundWork::whole ? RotationStart::yes : RotationStart::no;
    const auto report =
        co_await rotate_certificate(runtime, std::move(own), start, RotationSwitch::when_all_confirmed);
    if (!report && report.error().code != Errc::locked) log_round_failed(report.error());
}

}  // namespace ctrlexec
