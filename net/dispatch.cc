#include "net/dispatch.h"

#include <fmt/format.h>

#include "core/batch_plan.h"
#include "core/dispatcher_identity.h"
#include "core/file.h"
#include "core/log.h"
#include "core/tag_cache.h"
#include "net/agent_client.h"
#include "net/auth_hook.h"
#include "net/dispatcher_tls.h"
#include "net/fan_out.h"
#include "net/introduction.h"
#include "net/run_calls.h"

namespace ctrlexec {
namespace {

using Clock = std::chrono::steady_clock;

std::string milliseconds_since(Clock::time_point start) {
    return fmt::format("{}ms",
                       std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count());
}

Error refusal(const HttpMessage& answer, Errc unknown_route) {
    const auto body = json::parse(answer.body, 1u << 20);
    const std::string error = body ? body->scalar("error") : std::string();
    if (answer.status == 403)
        return fail(Errc::denied, "forbidden: " + (error.empty() ? "no reason given" : error));
    return fail(answer.status == 404 ? unknown_route : Errc::bad_answer,
                fmt::format("the agent answered {}{}", answer.status, error.empty() ? "" : ": " + error));
}

// Of an agent that was asked something: see Dispatch::ask.
Result<json::Value> reply_of(const std::string& body) {
    constexpr std::size_t max_reply = 1u << 20;
    auto reply = json::parse(body, max_reply);
    if (!reply || reply->if_object() == nullptr)
        return fail(Errc::bad_answer, "the agent's answer is not a JSON object");
    if (reply->scalar("status") != "error") return reply;
    const std::string error = reply->scalar("error");
    return fail(Errc::denied, "the agent refused: " + (error.empty() ? "no reason given" : error));
}

// Logging and JSON stay out of coroutines: g++ 12 miscompiles initializer lists there.
std::string ping_body(const std::string& reqid) {
    return json::dump(json::Object{{"reqid", reqid}});
}

// What an agent's answer says, or why there is none.
template <typename T>
T result_of(const Result<std::string>& body) {
    auto parsed = body ? T::parse(*body) : Result<T>(body.error());
    if (parsed) return std::move(*parsed);
    T result;
    result.error = parsed.error().text();
    result.failure = parsed.error().code;
    return result;
}

// A run's answer that came as a stream of lines.
struct FollowedAnswer {
    bool any = false;
    std::string result;
    std::optional<Error> problem;

    void take(const std::string& host, std::string_view text, const OnOutput& on_output) {
        any = true;
        const auto line = FollowLine::parse(text);
        if (!line) {
            problem = line.error();
        } else if (line->result) {
            result = json::dump(*line->result);
        } else if (!line->heartbeat()) {
            on_output(host, *line);
        }
    }

    Result<std::string> answer(Result<std::string> body) {
        if (!result.empty()) return std::move(result);
        if (!any || !body) return body;  // a refusal, which is no stream; or it broke
        if (problem) return *problem;
        return fail(Errc::bad_answer, "the agent's stream ended without the result");
    }
};

// It is the agent that does not, although it could not say so.
void refuse(RunResult& result, std::string why) {
    result.failure.reset();
    result.error = std::move(why);
}

void log_auth(const AuthRequest& question, const Result<void>& allowed) {
    log_event(allowed ? LogLevel::info : LogLevel::notice, "auth",
              {{"REASON", allowed ? std::string() : allowed.error().text()},
               {"REQUEST", question.action},
               {"RESULT", allowed ? "allow" : "deny"},
               {"SCRIPT", question.script},
               {"USER", question.username}});
}

void log_result(const PingResult& result) {
    log_event(result.ok() ? LogLevel::info : LogLevel::warning, "ping",
              {{"ERROR", result.error},
               {"REQID", result.reqid},
               {"RTT", result.rtt},
               {"STATUS", result.ok() ? "ok" : "error"},
               {"TARGET", result.host}});
}

void log_result(const DiscoveryResult& result) {
    log_event(result.ok() ? LogLevel::info : LogLevel::warning, "capabilities",
              {{"ERROR", result.error},
               {"RTT", result.rtt},
               {"STATUS", result.ok() ? "ok" : "error"},
               {"TARGET", result.host}});
}

}  // namespace

Dispatch::Dispatch(Runtime& runtime, const DispatcherConfig& config, std::shared_ptr<TlsContext> tls,
                   std::shared_ptr<AgentPool> pool)
    : runtime_(&runtime),
      config_(config),
      registry_(config.agents_dir()),
      tls_(std::move(tls)),
      pool_(std::move(pool)) {}

Result<Dispatch> Dispatch::create(Runtime& runtime, const DispatcherConfig& config, Connections connections) {
    TRY(const Identity identity, load_dispatcher_identity(config));
    TRY(auto tls, dispatcher_tls(config, identity));
    auto pool = connections == Connections::kept ? std::make_shared<AgentPool>(runtime.io().get_executor())
                                                 : std::shared_ptr<AgentPool>();
    Dispatch dispatch(runtime, config, std::move(tls), std::move(pool));
    dispatch.gate_ = std::make_shared<AnswerGate>(runtime.io().get_executor(), AnswerGate::default_bytes);
    dispatch.serial_ = identity.certificate.serial();
    dispatch.tickets_ = std::make_shared<TicketStore>(config.tickets_file(), identity);
    return dispatch;
}

Dispatch Dispatch::without_introduction() const {
    Dispatch copy = *this;
    copy.introduces_ = false;
    return copy;
}

asio::awaitable<Result<void>> Dispatch::authorise(AuthRequest question, int* code) const {
    if (config_.auth_hook.empty()) co_return success();
    const auto allowed =
        co_await ask_hook(config_.auth_hook, question, std::chrono::seconds(config_.auth_hook_timeout), code);
    log_auth(question, allowed);
    co_return allowed;
}

std::shared_ptr<Destinations> Dispatch::find(std::vector<Target> targets) const {
    Destinations::LookUp look_up = [registry = registry_, port = config_.port,
                                    tickets = tickets_](const Target& target) {
        auto found = destination_of(target, registry, port);
        if (found) found->session = tickets->find(agent_key(found->address));
        return found;
    };
    auto found = std::make_shared<Destinations>(*runtime_, std::move(targets), std::move(look_up));
    found->start();
    return found;
}

asio::awaitable<void> Dispatch::each(
    std::vector<Target> targets,
    std::function<asio::awaitable<void>(std::size_t, Result<Destination>)> work) const {
    const std::size_t count = targets.size();
    const auto destinations = find(std::move(targets));
    std::function<asio::awaitable<void>(std::size_t)> one = [&](std::size_t i) -> asio::awaitable<void> {
        Result<Destination> address = co_await destinations->take(i);
        co_await work(i, std::move(address));
    };
    co_await fan_out(*runtime_, count, static_cast<std::size_t>(config_.max_parallel), std::move(one));
    co_await keep_tickets();
}

asio::awaitable<void> Dispatch::keep_tickets() const {
    if (!tickets_->has_news()) co_return;
    std::function<Result<bool>()> work = [tickets = tickets_]() -> Result<bool> {
        tickets->flush();
        return true;
    };
    (void)co_await offload<bool>(runtime_->pool(), file_timeout, std::move(work));
}

asio::awaitable<Result<std::string>> Dispatch::exchange(Result<Destination> address,
                                                        AgentQuestion question) const {
    CO_TRY(Destination where, std::move(address));
    AgentCall call;
    call.on_session = [tickets = tickets_, agent = agent_key(where.address)](std::string session) {
        if (!session.empty()) tickets->put(agent, std::move(session));
    };
    call.session = std::move(where.session);
    call.address = std::move(where.address);
    call.method = std::move(question.method);
    call.target = std::move(question.path);
    call.body = std::move(question.body);
    call.headers = std::move(question.headers);
    call.connect_timeout = std::chrono::seconds(config_.connect_timeout);
    call.read_timeout = question.read_timeout;
    if (call.read_timeout.count() == 0) call.read_timeout = std::chrono::seconds(config_.read_timeout);
    call.repeatable = question.repeatable;
    call.on_line = std::move(question.on_line);
    call.unwanted = std::move(question.unwanted);
    call.gate = gate_;
    const auto peer = std::make_shared<PeerIdentity>();
    if (where.agent) {
        call.accept = [this, agent = *where.agent, peer](PeerIdentity seen) {
            *peer = seen;
            return check_identity(*runtime_, registry_, agent, std::move(seen));
        };
    }
    AgentCall again = call;
    again.session.clear();  // it is our current certificate's
    again.on_session = nullptr;
    CO_TRY(HttpMessage answer, co_await call_agent(*runtime_, tls_, std::move(call), pool_));
    if (introduces_ && does_not_know_us(answer)) {
        CO_TRY(answer, co_await call_after_introduction(*runtime_, config_, serial_, std::move(again),
                                                        std::move(answer)));
    }
    if (where.agent) {
        PeerIdentity seen = *peer;
        co_await learn_identity(*runtime_, registry_, std::move(*where.agent), std::move(seen));
    }
    if (answer.status < 200 || answer.status > 299) co_return refusal(answer, question.unknown_route);
    co_return std::move(answer.body);
}

asio::awaitable<Result<std::string>> Dispatch::put_question(Target target, AgentQuestion question) const {
    std::vector<Target> targets(1, std::move(target));
    const auto destinations = find(std::move(targets));
    Result<Destination> address = co_await destinations->take(0);
    auto answer = co_await exchange(std::move(address), std::move(question));
    co_await keep_tickets();
    co_return std::move(answer);
}

asio::awaitable<Result<json::Value>> Dispatch::ask(Target target, std::string path, json::Value body) const {
    AgentQuestion question;
    question.path = std::move(path);
    question.body = json::dump(body);
    CO_TRY(const std::string answer, co_await put_question(std::move(target), std::move(question)));
    co_return reply_of(answer);
}

// The body of an answer to POST /run, however it came.
asio::awaitable<Result<std::string>> Dispatch::run_answer(std::string host, Result<Destination> address,
                                                          std::shared_ptr<const RunRequest> request,
                                                          OnOutput on_output) const {
    const std::chrono::seconds patience(config_.read_timeout);
    if (on_output) {
        const auto followed = std::make_shared<FollowedAnswer>();
        AgentQuestion question = follow_run_question(*request, patience);
        question.on_line = [followed, host, on_output](std::string_view line) {
            followed->take(host, line, on_output);
        };
        Result<Destination> where = address;
        auto body = co_await exchange(std::move(where), std::move(question));
        // An agent of the old kind tells everything at the end.
        const bool cannot = !body && body.error().code == Errc::not_found && !request->timeout;
        if (!cannot) co_return followed->answer(std::move(body));
    }
    AgentQuestion question = run_question(*request, patience);
    co_return co_await exchange(std::move(address), std::move(question));
}

asio::awaitable<RunResult> Dispatch::run_one(std::string host, Result<Destination> address,
                                             std::shared_ptr<const RunRequest> request,
                                             OnOutput on_output) const {
    const auto start = Clock::now();
    const auto body = co_await run_answer(host, std::move(address), request, std::move(on_output));
    RunResult result = result_of<RunResult>(body);
    result.still_running = result.failure == Errc::still_running;
    if (result.failure == Errc::not_found)
        refuse(result, too_old(host, "end a script in time") + "; nothing was run");
    result.host = std::move(host);
    result.script = request->script;
    result.reqid = request->reqid;
    result.rtt = milliseconds_since(start);
    log_run_result(result);
    co_return result;
}

asio::awaitable<PingResult> Dispatch::ping_one(std::string host, Result<Destination> address,
                                               std::string reqid) const {
    const auto start = Clock::now();
    AgentQuestion question;
    question.path = "/ping";
    question.body = ping_body(reqid);
    question.unknown_route = Errc::bad_answer;
    const auto body = co_await exchange(std::move(address), std::move(question));
    PingResult result = result_of<PingResult>(body);
    result.host = std::move(host);
    result.reqid = reqid;
    result.rtt = milliseconds_since(start);
    log_result(result);
    co_return result;
}

asio::awaitable<void> Dispatch::run(std::vector<Target> targets, std::shared_ptr<const RunRequest> request,
                                    HostLocks locks, std::function<void(RunResult)> on_result,
                                    OnOutput on_output, MayBegin may_begin) const {
    std::map<std::string, int> left;  // results to come for each host
    for (const auto& target : targets) ++left[target.host];
    std::function<asio::awaitable<void>(std::size_t, Result<Destination>)> work =
        [&](std::size_t i, Result<Destination> address) -> asio::awaitable<void> {
        std::string why = may_begin ? may_begin(targets[i].host) : std::string();
        if (why.empty()) {
            RunResult result = co_await run_one(targets[i].host, std::move(address), request, on_output);
            on_result(std::move(result));
        } else {
            RunResult result = not_started(targets[i].host, *request, std::move(why));
            log_run_result(result);
            on_result(std::move(result));
        }
        if (--left[targets[i].host] == 0 && locks.erase(targets[i].host) != 0)
            log_lock_released(targets[i].host, *request);
    };
    co_await each(targets, std::move(work));
}

asio::awaitable<void> Dispatch::ping(std::vector<Target> targets, std::string reqid,
                                     std::function<void(PingResult)> on_result) const {
    std::function<asio::awaitable<void>(std::size_t, Result<Destination>)> work =
        [&](std::size_t i, Result<Destination> address) -> asio::awaitable<void> {
        PingResult result = co_await ping_one(targets[i].host, std::move(address), reqid);
        on_result(std::move(result));
    };
    co_await each(targets, std::move(work));
}

namespace {

// Of a registered agent: check_identity has seen to it that it is the one that answers.
Tags assigned_tags(const Result<Destination>& destination) {
    return destination && destination->agent ? destination->agent->tags : Tags();
}

// Everybody who reads the answer, the policy of the API among them, goes by what the operator has assigned.
void assign_tags(json::Value& answer, const Tags& assigned) {
    answer.set("tags", tags_json(with_assigned(tags_of(answer), assigned)));
}

}  // namespace

asio::awaitable<DiscoveryResult> Dispatch::discover_one(std::string host, Result<Destination> address) const {
    const auto start = Clock::now();
    const Tags assigned = assigned_tags(address);
    AgentQuestion question;
    question.method = "GET";
    question.path = "/capabilities";
    question.unknown_route = Errc::bad_answer;
    const auto body = co_await exchange(std::move(address), std::move(question));
    DiscoveryResult result = result_of<DiscoveryResult>(body);
    result.host = std::move(host);
    if (result.ok() && !assigned.empty()) assign_tags(result.answer, assigned);
    result.rtt = milliseconds_since(start);
    log_result(result);
    co_return result;
}

asio::awaitable<void> Dispatch::discover(std::vector<Target> targets,
                                         std::function<void(DiscoveryResult)> on_result) const {
    std::function<asio::awaitable<void>(std::size_t, Result<Destination>)> work =
        [&](std::size_t i, Result<Destination> address) -> asio::awaitable<void> {
        DiscoveryResult result = co_await discover_one(targets[i].host, std::move(address));
        on_result(std::move(result));
    };
    co_await each(targets, std::move(work));
}

}  // namespace ctrlexec
