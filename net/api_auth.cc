// Who may: the policy file first, then the hook; and who has been refused too often to be asked again.
#include <fmt/format.h>

#include <map>
#include <vector>

#include "core/log.h"
#include "core/registry.h"
#include "core/run_store.h"
#include "net/api_call.h"

namespace ctrlexec {
namespace {

using Call = std::shared_ptr<const ApiCall>;
using Clock = std::chrono::steady_clock;
using Indexes = std::vector<std::size_t>;  // of the question's hosts
using TagsByHost = std::map<std::string, Tags>;
using Verdict = AuthPolicy::Verdict;

constexpr int max_auth_checks = 128;

HttpAnswer forbidden(std::string_view reason, int code) {
    return json_answer(403, json::Object{{"ok", false}, {"error", reason}, {"code", code}});
}

std::optional<HttpAnswer> refused_too_often(const ApiCall& call) {
    const auto left = call.state->refusals.blocked_for(call.source_ip, Clock::now());
    if (left.count() == 0) return std::nullopt;
    HttpAnswer answer = api_error(429, "too many refused requests");
    answer.headers.emplace_back("Retry-After", std::to_string(left.count()));
    return answer;
}

void count_refusal(const ApiCall& call) {
    const auto event = call.state->refusals.untrusted(call.source_ip, false, Clock::now());
    if (event.evicted) log_event(LogLevel::info, "rate-evict", {{"PEER", *event.evicted}});
    if (!event.blocked) return;
    call.state->metrics.count_rate_block();
    log_event(
        LogLevel::warning, "rate-block",
        {{"KIND", "refused"}, {"LIMIT", event.blocked->text()}, {"PEER", rate_limit_key(call.source_ip)}});
}

std::string_view reason_of(Verdict verdict) {
    if (verdict == Verdict::permitted) return "";
    return verdict == Verdict::unknown_token ? "bad credentials" : "insufficient privilege";
}

// Each refusal, and whatever reaches agents or shows what they did. A known token that only knocks is in
// api-request.
void log_verdict(const ApiCall& call, const AuthRequest& question, Verdict verdict) {
    const bool allowed = verdict == Verdict::permitted;
    if (allowed && question.action == "api") return;
    log_event(allowed ? LogLevel::info : LogLevel::notice, "auth",
              {{"PEER", call.source_ip},
               {"POLICY", call.snapshot->policy->name_of(question.token)},
               {"REASON", std::string(reason_of(verdict))},
               {"REQUEST", question.action},
               {"RESULT", allowed ? "allow" : "deny"},
               {"SCRIPT", question.script},
               {"USER", question.username}});
}

// Those of `wanted` that are registered agents, asked for at the port at which they are registered: what else
// answers there may say of itself what it likes.
asio::awaitable<Result<Indexes>> registered_among(Call call, std::vector<Target> targets, Indexes wanted) {
    std::function<Result<Indexes>()> work = [registry = Registry(call->snapshot->config.agents_dir()),
                                             port = call->snapshot->config.port, wanted = std::move(wanted),
                                             targets = std::move(targets)]() -> Result<Indexes> {
        Indexes found;
        for (const auto i : wanted) {
            if (is_ip_address(targets[i].host)) continue;
            const auto agent = registry.find(targets[i].host);
            if (!agent) continue;
            const int at = agent->agent_port != 0 ? agent->agent_port : port;
            if (targets[i].port == 0 || targets[i].port == at) found.push_back(i);
        }
        return found;
    };
    co_return co_await offload<Indexes>(call->state->runtime.pool(), file_timeout, std::move(work));
}

// Asks agents for their tags; who does not answer has none.
asio::awaitable<TagsByHost> ask_for_tags(Call call, std::vector<Target> targets) {
    TagsByHost found;
    const ApiCount running(*call->state, &ApiState::dispatches);
    std::function<void(DiscoveryResult)> on_result = [&](const DiscoveryResult& result) {
        if (!result.ok()) return;
        call->state->tags.put(result.host, tags_of(result.answer), Clock::now());
        found[result.host] = tags_of(result.answer);
    };
    co_await call->snapshot->dispatch->discover(std::move(targets), std::move(on_result));
    co_return found;
}

// Of each target, in their order; only of those in `wanted`.
asio::awaitable<std::vector<Tags>> collect_tags(Call call, std::vector<Target> targets, Indexes wanted) {
    std::vector<Tags> tags(targets.size());
    const auto registered = co_await registered_among(call, targets, std::move(wanted));
    if (!registered) co_return tags;
    TagsByHost found;
    std::vector<Target> missing;
    for (const auto i : *registered) {
        Target target;
        target.host = targets[i].host;
        if (found.contains(target.host)) continue;
        const Tags* known = call->state->tags.find(target.host, Clock::now());
        found[target.host] = known != nullptr ? *known : Tags();
        if (known == nullptr) missing.push_back(std::move(target));
    }
    if (!missing.empty()) {
        TagsByHost asked = co_await ask_for_tags(call, std::move(missing));
        for (auto& [host, said] : asked) found[host] = std::move(said);
    }
    for (const auto i : *registered) tags[i] = found[targets[i].host];
    co_return tags;
}

struct Judgement {
    Verdict verdict = Verdict::not_permitted;
    std::optional<HttpAnswer> not_now;  // why there is no verdict
};

asio::awaitable<Judgement> judge(Call call, AuthRequest question, std::vector<Target> targets) {
    const AuthPolicy& policy = *call->snapshot->policy;
    Judgement judgement;
    std::vector<Tags> tags;
    Indexes open = policy.undecided(question);
    if (!open.empty() && targets.size() == question.hosts.size()) {
        judgement.not_now = unavailable(*call);
        if (judgement.not_now) co_return judgement;
        tags = co_await collect_tags(call, std::move(targets), std::move(open));
    }
    judgement.verdict = policy.judge(question, tags);
    log_verdict(*call, question, judgement.verdict);
    co_return judgement;
}

asio::awaitable<std::optional<HttpAnswer>> refused_by_policy(Call call, AuthRequest question,
                                                             std::vector<Target> targets) {
    if (!call->snapshot->policy->knows(question.token)) {
        if (auto blocked = refused_too_often(*call)) co_return std::move(*blocked);
        log_verdict(*call, question, Verdict::unknown_token);
        count_refusal(*call);
        co_return forbidden(reason_of(Verdict::unknown_token), 2);
    }
    Judgement judgement = co_await judge(call, std::move(question), std::move(targets));
    if (judgement.not_now) co_return std::move(*judgement.not_now);
    if (judgement.verdict == Verdict::permitted) co_return std::nullopt;
    co_return forbidden(reason_of(judgement.verdict), 3);
}

asio::awaitable<std::optional<HttpAnswer>> ask_everybody(Call call, AuthRequest question,
                                                         std::vector<Target> targets) {
    const DispatcherConfig& config = call->snapshot->config;
    const bool has_policy = call->snapshot->policy.has_value();
    if (has_policy) {
        auto refused = co_await refused_by_policy(call, question, std::move(targets));
        if (refused) co_return std::move(*refused);
    }
    if (config.auth_hook.empty()) {
        if (has_policy || config.api_allow_all) co_return std::nullopt;
        co_return forbidden("no auth hook configured", 1);
    }
    // Whoever comes here in spite of a policy has a token that it knows.
    if (!has_policy) {
        if (auto blocked = refused_too_often(*call)) co_return std::move(*blocked);
    }
    if (call->state->auth_checks >= max_auth_checks) co_return api_unavailable("too many requests to check");
    const ApiCount running(*call->state, &ApiState::auth_checks);
    if (question.action == "metrics") question.action = "api";  // hooks know no other word for it
    int code = 1;
    const auto allowed = co_await call->snapshot->dispatch->authorise(std::move(question), &code);
    if (allowed) co_return std::nullopt;
    if (!has_policy) count_refusal(*call);
    co_return forbidden(allowed.error().message, code);
}

}  // namespace

std::optional<HttpAnswer> unavailable(const ApiCall& call) {
    if (call.state->dispatches >= call.snapshot->config.api_max_dispatches)
        return api_unavailable("too many requests under way", "see api_max_dispatches");
    if (call.state->stopping) return api_unavailable("shutting down");
    return std::nullopt;
}

asio::awaitable<std::optional<HttpAnswer>> refused_by_auth(Call call, AuthRequest question) {
    return refused_by_auth(std::move(call), std::move(question), std::vector<Target>());
}

asio::awaitable<std::optional<HttpAnswer>> refused_by_auth(Call call, AuthRequest question,
                                                           std::vector<Target> targets) {
    auto refused = co_await ask_everybody(call, std::move(question), std::move(targets));
    call->state->metrics.count_auth(!refused);
    co_return refused;
}

HttpAnswer no_such_run(std::string_view reqid) {
    return api_error(404, "not found", RunStore::unknown(reqid).message);
}

asio::awaitable<std::optional<HttpAnswer>> hidden_by_policy(Call call, std::string reqid, std::string script,
                                                            std::vector<std::string> hosts) {
    if (!call->snapshot->policy) co_return std::nullopt;
    AuthRequest question = api_question(*call, "status");
    question.script = std::move(script);
    std::vector<Target> targets;
    for (const auto& host : hosts) {
        Target target;
        target.host = host;
        targets.push_back(std::move(target));
    }
    question.hosts = std::move(hosts);
    Judgement judgement = co_await judge(call, std::move(question), std::move(targets));
    if (judgement.not_now) co_return std::move(*judgement.not_now);
    if (judgement.verdict == Verdict::permitted) co_return std::nullopt;
    co_return no_such_run(reqid);
}

}  // namespace ctrlexec
