#include "net/renewal.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/authority.h"
#include "core/digest.h"
#include "core/log.h"
#include "core/renewal_signing.h"
#include "core/timestamp.h"
#include "net/fan_out.h"

namespace ctrlexec {
namespace {

constexpr std::size_t at_once = 16;  // each signature is one fsync after the other
constexpr std::chrono::seconds signing_timeout{60};

// JSON and logging stay out of coroutines: g++ 12 miscompiles initializer lists there.
json::Value renew_body(const std::string& reqid) {
    return json::Object{{"reqid", reqid}};
}

json::Value complete_body(const RenewedCertificate& certificate, const std::string& reqid) {
    return json::Object{{"cert", certificate.pem}, {"ca", certificate.authority_pem}, {"reqid", reqid}};
}

void log_renewal(const RenewalResult& renewal, const std::string& reqid) {
    const bool good = renewal.outcome == RenewalResult::Outcome::renewed;
    log_event(
        good ? LogLevel::notice : LogLevel::warning, good ? "cert-renew" : "cert-renew-fail",
        {{"ERROR", renewal.error}, {"EXPIRY", renewal.expiry}, {"REQID", reqid}, {"TARGET", renewal.host}});
}

void log_expiring(const std::string& host, std::int64_t days) {
    log_event(LogLevel::warning, "cert-expiring", {{"DAYS", std::to_string(days)}, {"TARGET", host}});
}

RenewalResult ended(const AgentRecord& agent, RenewalResult::Outcome outcome, std::string error = {}) {
    RenewalResult renewal;
    renewal.host = agent.hostname;
    renewal.outcome = outcome;
    renewal.expiry = agent.expiry;
    renewal.error = std::move(error);
    return renewal;
}

RenewalResult without_record(std::string host, const Error& why) {
    AgentRecord agent;
    agent.hostname = std::move(host);
    return ended(agent, RenewalResult::Outcome::failed, why.text());
}

RenewalResult refused(const AgentRecord& agent, const Error& why) {
    if (why.code != Errc::not_found) return ended(agent, RenewalResult::Outcome::failed, why.text());
    return ended(
        agent, RenewalResult::Outcome::cannot,
        fmt::format("an old agent, which cannot renew: its certificate expires on {}; then it must be "
                    "paired again",
                    agent.expiry));
}

Result<std::int64_t> end_of_authority(const DispatcherConfig& config) {
    TRY(const Certificate authority, Certificate::from_file(config.ca_dir + "/ca.crt"));
    return authority.not_after();
}

// Which certificates are to be renewed. The CA's own end counts too: it is read once for all agents, and not
// at all when there is none to judge.
class DueCheck {
  public:
    DueCheck(const DispatcherConfig& config, RenewWhich which) : config_(config), which_(which) {}
    Result<bool> operator()(const AgentRecord& agent) {
        if (which_ == RenewWhich::all) return true;
        if (!authority_end_) {
            TRY(authority_end_, end_of_authority(config_));
        }
        return renewal_is_due(agent, config_.cert_days, *authority_end_, now_seconds());
    }

  private:
    const DispatcherConfig& config_;
    RenewWhich which_;
    std::optional<std::int64_t> authority_end_;
};

// What the registry holds, and which of it is to be renewed.
struct Plan {
    std::vector<AgentRecord> agents;
    std::vector<AgentRecord> due;
};

Result<Plan> make_plan(const DispatcherConfig& config, RenewWhich which) {
    TRY(RegistryListing listing, Registry(config.agents_dir()).list());
    Plan plan;
    DueCheck is_due(config, which);
    for (const auto& agent : listing.agents) {
        TRY(const bool due, is_due(agent));
        if (due) plan.due.push_back(agent);
    }
    plan.agents = std::move(listing.agents);
    // One clear error, not one an agent.
    if (!plan.due.empty()) TRY_DO(Authority::open(config.ca_dir, config.ca_passphrase_file));
    return plan;
}

// Who of them is registered and due. What cannot be read has no part in it: the caller wanted something else.
Result<std::vector<AgentRecord>> find_due(const DispatcherConfig& config,
                                          const std::vector<std::string>& hosts) {
    std::vector<AgentRecord> due;
    DueCheck is_due(config, RenewWhich::due);
    for (const auto& host : hosts) {
        const auto agent = Registry(config.agents_dir()).find(host);
        if (!agent) continue;
        TRY(const bool needs_it, is_due(*agent));
        if (needs_it) due.push_back(*agent);
    }
    return due;
}

// One for each agent, in the order of `agents`, in which `renewed` is too.
std::vector<RenewalResult> merge(const std::vector<AgentRecord>& agents, std::vector<RenewalResult> renewed) {
    std::vector<RenewalResult> all;
    auto next = renewed.begin();
    for (const auto& agent : agents) {
        const bool was_due = next != renewed.end() && next->host == agent.hostname;
        all.push_back(was_due ? std::move(*next++) : ended(agent, RenewalResult::Outcome::not_due));
    }
    return all;
}

void warn_of_expiry(const std::vector<RenewalResult>& renewals, int threshold) {
    const std::int64_t now = now_seconds();
    for (const auto& renewal : renewals) {
        const auto days = days_until(renewal.expiry, now);
        if (days && *days < threshold) log_expiring(renewal.host, *days);
    }
}

}  // namespace

// What is known before the agent is asked; holds the lock until the renewal has ended.
struct Renewals::Start {
    FileLock lock;
    AgentRecord agent;
    bool due;
};

std::string_view RenewalResult::word() const {
    switch (outcome) {
        case Outcome::not_due:
            return "ok";
        case Outcome::renewed:
            return "renewed";
        case Outcome::cannot:
            return "cannot-renew";
        case Outcome::busy:
            return "busy";
        default:
            return "failed";
    }
}

json::Value RenewalResult::to_json(std::int64_t now) const {
    json::Value object(json::Object{{"host", host}, {"status", word()}, {"expiry", expiry}});
    if (const auto days = days_until(expiry, now)) object.set("days_left", *days);
    if (!error.empty()) object.set("error", error);
    return object;
}

Renewals::Renewals(Runtime& runtime, const DispatcherConfig& config, std::shared_ptr<const Dispatch> dispatch)
    : runtime_(&runtime),
      config_(std::make_shared<const DispatcherConfig>(config)),
      dispatch_(std::move(dispatch)) {}

asio::awaitable<RenewalResult> Renewals::renew(std::string hostname, RenewWhich which) const {
    std::function<Result<std::shared_ptr<Start>>()> work = [config = config_, hostname,
                                                            which]() -> Result<std::shared_ptr<Start>> {
        TRY(FileLock lock, lock_renewal(*config, hostname));
        TRY(AgentRecord agent,
            Registry(config->agents_dir()).find(hostname));  // another may just have done it
        TRY(const bool due, DueCheck(*config, which)(agent));
        return std::make_shared<Start>(Start{std::move(lock), std::move(agent), due});
    };
    const auto start =
        co_await offload<std::shared_ptr<Start>>(runtime_->pool(), file_timeout, std::move(work));
    if (!start) {
        RenewalResult renewal = without_record(std::move(hostname), start.error());
        if (start.error().code == Errc::locked) renewal.outcome = RenewalResult::Outcome::busy;
        co_return renewal;
    }
    if (!(*start)->due) co_return ended((*start)->agent, RenewalResult::Outcome::not_due);
    const std::string reqid = new_reqid();
    const auto expiry = co_await request(hostname, reqid);
    RenewalResult renewal = expiry ? ended((*start)->agent, RenewalResult::Outcome::renewed)
                                   : refused((*start)->agent, expiry.error());
    if (expiry) renewal.expiry = *expiry;
    log_renewal(renewal, reqid);
    co_return renewal;
}

// The new certificate's expiry, once the agent has it.
asio::awaitable<Result<std::string>> Renewals::request(std::string hostname, std::string reqid) const {
    Target target;
    target.host = hostname;
    Target again = target;
    json::Value question = renew_body(reqid);
    CO_TRY(const json::Value asked,
           co_await dispatch_->ask(std::move(target), std::string("/renew"), std::move(question)));
    std::function<Result<RenewedCertificate>()> sign = [config = config_, hostname,
                                                        csr = std::string(asked.text("csr"))] {
        return sign_renewal(*config, hostname, csr, now_seconds());
    };
    CO_TRY(const RenewedCertificate certificate,
           co_await offload<RenewedCertificate>(runtime_->pool(), signing_timeout, std::move(sign)));
    json::Value delivery = complete_body(certificate, reqid);
    CO_TRY_DO(co_await dispatch_->ask(std::move(again), std::string("/renew-complete"), std::move(delivery)));
    std::function<Result<bool>()> record = [config = config_, hostname, certificate]() -> Result<bool> {
        TRY_DO(record_renewal(*config, hostname, certificate));
        return true;
    };
    CO_TRY_DO(co_await offload<bool>(runtime_->pool(), file_timeout, std::move(record)));
    co_return certificate.expiry;
}

asio::awaitable<std::vector<RenewalResult>> Renewals::renew_planned(std::vector<AgentRecord> agents,
                                                                    RenewWhich which) const {
    std::vector<RenewalResult> renewals(agents.size());
    std::function<asio::awaitable<void>(std::size_t)> one = [&](std::size_t i) -> asio::awaitable<void> {
        RenewalResult renewal = co_await renew(agents[i].hostname, which);
        if (renewal.expiry.empty()) renewal.expiry = agents[i].expiry;
        renewals[i] = std::move(renewal);
    };
    const std::size_t parallel = std::min(at_once, static_cast<std::size_t>(config_->max_parallel));
    co_await fan_out(*runtime_, agents.size(), parallel, std::move(one));
    co_return std::move(renewals);
}

asio::awaitable<Result<std::vector<RenewalResult>>> Renewals::round(RenewWhich which) const {
    std::function<Result<Plan>()> work = [config = config_, which] { return make_plan(*config, which); };
    CO_TRY(Plan plan, co_await offload<Plan>(runtime_->pool(), file_timeout, std::move(work)));
    std::vector<RenewalResult> renewed = co_await renew_planned(std::move(plan.due), which);
    std::vector<RenewalResult> all = merge(plan.agents, std::move(renewed));
    warn_of_expiry(all, config_->cert_renewal_days);
    co_return std::move(all);
}

asio::awaitable<std::vector<RenewalResult>> Renewals::renew_registered(std::vector<std::string> hosts) const {
    std::function<Result<std::vector<AgentRecord>>()> work = [config = config_, hosts = std::move(hosts)] {
        return find_due(*config, hosts);
    };
    auto due = co_await offload<std::vector<AgentRecord>>(runtime_->pool(), file_timeout, std::move(work));
    if (!due)
        co_return std::vector<RenewalResult>();  // a dispatcher that has no CA certificate says so elsewhere
    co_return co_await renew_planned(std::move(*due), RenewWhich::due);
}

}  // namespace ctrlexec
