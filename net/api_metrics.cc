#include "net/api_metrics.h"

#include <algorithm>
#include <array>

#include "core/certificate.h"
#include "core/join_tokens.h"
#include "core/pairing_queue.h"
#include "core/process_stats.h"
#include "core/registry.h"
#include "core/timestamp.h"
#include "net/api_call.h"
#include "net/renewal.h"

namespace ctrlexec {
namespace {

constexpr std::array<std::string_view, 4> methods{"GET", "HEAD", "OPTIONS", "POST"};
constexpr double seconds_a_day = 86400;

// What files say at the time of a scrape.
struct Deployment {
    std::map<std::string, double> agent_days;  // until each agent's certificate expires
    std::map<std::string, double> own_days;    // the dispatcher's and the CA's
    std::uint64_t agents = 0;
    std::uint64_t expiring_agents = 0;  // with less than cert_renewal_days
    std::uint64_t unreadable_agents = 0;
    std::uint64_t pairing_requests = 0;
    std::uint64_t join_tokens = 0;  // that can be used
};

double exact_days(std::int64_t time, std::int64_t now) {
    return static_cast<double>(time - now) / seconds_a_day;
}

Result<Deployment> read_deployment(const DispatcherConfig& config) {
    const std::int64_t now = now_seconds();
    Deployment found;
    TRY(const RegistryListing listing, Registry(config.agents_dir()).list());
    found.agents = listing.agents.size();
    found.unreadable_agents = listing.problems.size();
    for (const auto& agent : listing.agents) {
        if (const auto expiry = parse_openssl_time(agent.expiry))
            found.agent_days[agent.hostname] = exact_days(*expiry, now);
        if (const auto days = agent.days_left(now); days && *days < config.cert_renewal_days)
            ++found.expiring_agents;
    }
    if (const auto own = Certificate::from_file(config.cert))
        found.own_days["dispatcher"] = exact_days(own->not_after(), now);
    if (const auto authority = Certificate::from_file(config.ca))
        found.own_days["ca"] = exact_days(authority->not_after(), now);
    if (const auto waiting = PairingQueue(config.pairing_dir()).list(now))
        found.pairing_requests = waiting->size();
    found.join_tokens = JoinTokens(config).usable(now);
    return found;
}

void write_days(MetricsPage& page, std::string_view label, const std::map<std::string, double>& days) {
    for (const auto& [name, left] : days) page.sample(left, {{label, name}});
}

void write_deployment(MetricsPage& page, const Deployment& found) {
    page.family("ctrl_exec_agents", "gauge", "Registered agents.");
    page.sample(found.agents);
    page.family("ctrl_exec_agent_records_unreadable", "gauge", "Files of the registry that cannot be used.");
    page.sample(found.unreadable_agents);
    page.family("ctrl_exec_agent_certificates_expiring", "gauge",
                "Registered agents whose certificate has less than cert_renewal_days left.");
    page.sample(found.expiring_agents);
    page.family("ctrl_exec_agent_certificate_days_left", "gauge",
                "Days until the certificate of a registered agent expires; negative when it has.");
    write_days(page, "agent", found.agent_days);
    page.family("ctrl_exec_certificate_days_left", "gauge",
                "Days until the dispatcher's certificate and that of its CA expire.");
    write_days(page, "certificate", found.own_days);
    page.family("ctrl_exec_pairing_requests_waiting", "gauge", "Pairing requests that wait for an operator.");
    page.sample(found.pairing_requests);
    page.family("ctrl_exec_join_tokens_usable", "gauge", "Join tokens that agents can use now.");
    page.sample(found.join_tokens);
}

void write_state(MetricsPage& page, const ApiState& state) {
    page.family("ctrl_exec_build_info", "gauge", "1, with the version as label.");
    page.sample(std::uint64_t{1}, {{"version", CTRL_EXEC_VERSION}});
    page.family("ctrl_exec_http_connections_open", "gauge", "Open connections of clients.");
    page.sample(std::uint64_t{state.open_connections ? state.open_connections() : 0});
    page.family("ctrl_exec_dispatches_in_progress", "gauge", "Requests to agents under way.");
    page.sample(static_cast<std::uint64_t>(state.dispatches));
    page.family("ctrl_exec_event_listeners", "gauge", "Clients that listen to the events of a run.");
    page.sample(static_cast<std::uint64_t>(state.events.listeners));
    page.family("ctrl_exec_auth_hooks_running", "gauge", "Auth hooks that run now.");
    page.sample(static_cast<std::uint64_t>(state.auth_checks));
}

void write_process(MetricsPage& page) {
    const ProcessStats stats = process_stats();
    page.family("process_cpu_seconds_total", "counter", "User and system CPU time.");
    page.sample(stats.cpu_seconds);
    page.family("process_start_time_seconds", "gauge", "Start, in seconds since the epoch.");
    page.sample(stats.start_time);
    page.family("process_resident_memory_bytes", "gauge", "Resident memory.");
    page.sample(stats.resident_bytes);
    page.family("process_virtual_memory_bytes", "gauge", "Virtual memory.");
    page.sample(stats.virtual_bytes);
    page.family("process_open_fds", "gauge", "Open file descriptors.");
    page.sample(stats.open_files);
    page.family("process_max_fds", "gauge", "The limit of open file descriptors.");
    page.sample(stats.max_open_files);
    page.family("process_threads", "gauge", "Threads.");
    page.sample(stats.threads);
}

HttpAnswer metrics_page(const ApiState& state, const Deployment& found) {
    MetricsPage page;
    state.metrics.write(page);
    write_state(page, state);
    write_deployment(page, found);
    write_process(page);
    HttpAnswer answer;
    answer.body = page.take();
    answer.headers.emplace_back("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    return answer;
}

}  // namespace

void ApiMetrics::count_request(std::string_view route, std::string_view method, int status, double seconds) {
    const bool known = std::ranges::find(methods, method) != methods.end();
    ++requests_[Request(route, known ? method : "other", status)];
    const auto found = request_seconds_.find(route);
    Histogram& histogram =
        found != request_seconds_.end() ? found->second : request_seconds_[std::string(route)];
    histogram.observe(seconds);
}

void ApiMetrics::count_run(std::string_view label, double seconds) {
    ++runs_[std::string(label)];
    run_seconds_.observe(seconds);
}

void ApiMetrics::count_renewal(const RenewalResult& renewal) {
    if (renewal.outcome != RenewalResult::Outcome::not_due) ++renewals_[std::string(renewal.word())];
}

void ApiMetrics::count_pairing(std::string_view result, std::string_view trust) {
    ++pairings_[std::pair(std::string(result), std::string(trust))];
}

void ApiMetrics::write(MetricsPage& page) const {
    page.family("ctrl_exec_http_requests_total", "counter", "Requests by route, method and status.");
    for (const auto& [request, count] : requests_) {
        const auto& [route, method, status] = request;
        page.sample(count, {{"route", route}, {"method", method}, {"status", std::to_string(status)}});
    }
    page.family("ctrl_exec_http_request_duration_seconds", "histogram",
                "From a whole request read to its answer made, by route.");
    for (const auto& [route, histogram] : request_seconds_) page.histogram(histogram, {{"route", route}});
    page.family("ctrl_exec_runs_total", "counter", "Runs by outcome, one for each host.");
    for (const auto& [outcome, count] : runs_) page.sample(count, {{"outcome", outcome}});
    page.family("ctrl_exec_run_duration_seconds", "histogram", "Duration of a run on one host.");
    page.histogram(run_seconds_);
    page.family("ctrl_exec_pings_total", "counter", "Pings by outcome, one for each host.");
    page.sample(pings_ok_, {{"outcome", "ok"}});
    page.sample(pings_failed_, {{"outcome", "failed"}});
    page.family("ctrl_exec_auth_checks_total", "counter", "Questions to the auth hook or policy, by answer.");
    page.sample(auth_allowed_, {{"result", "allow"}});
    page.sample(auth_denied_, {{"result", "deny"}});
    page.family("ctrl_exec_certificate_renewals_total", "counter",
                "Renewals of agents' certificates by this process, by outcome.");
    for (const auto& [outcome, count] : renewals_) page.sample(count, {{"outcome", outcome}});
    page.family(
        "ctrl_exec_pairing_requests_total", "counter",
        "Agents at the pairing port of this process, by result and by what the pairing could rest on.");
    for (const auto& [key, count] : pairings_)
        page.sample(count, {{"result", key.first}, {"trust", key.second}});
    page.family("ctrl_exec_join_redemptions_total", "counter",
                "Those of them that brought a join token, by result.");
    for (const auto& [key, count] : pairings_)
        if (key.second == "token") page.sample(count, {{"result", key.first}});
    page.family("ctrl_exec_rate_blocks_total", "counter", "Addresses blocked for refused credentials.");
    page.sample(rate_blocks_);
    page.family("ctrl_exec_run_store_failures_total", "counter", "Runs whose results could not be stored.");
    page.sample(store_failures_);
}

asio::awaitable<HttpAnswer> api_metrics(std::shared_ptr<const ApiCall> call) {
    // A hook has been asked already, and knows no other word for this than "api".
    if (call->snapshot->policy) {
        AuthRequest question = api_question(*call, "metrics");
        if (auto refused = co_await refused_by_auth(call, std::move(question))) co_return std::move(*refused);
    }
    std::function<Result<Deployment>()> work = [call] { return read_deployment(call->snapshot->config); };
    const auto found =
        co_await offload<Deployment>(call->state->runtime.pool(), file_timeout, std::move(work));
    if (!found) co_return api_failed("the registry cannot be read", found.error());
    co_return metrics_page(*call->state, *found);
}

}  // namespace ctrlexec
