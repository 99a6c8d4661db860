#include "net/api_server.h"

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <csignal>

#include "core/dispatcher_identity.h"
#include "core/idempotency.h"
#include "core/join_tokens.h"
#include "core/log.h"
#include "core/run_store.h"
#include "core/submitted_runs.h"
#include "core/timestamp.h"
#include "net/api_routes.h"
#include "net/http_session.h"
#include "net/identity_watch.h"
#include "net/maintenance.h"
#include "net/plain_stream.h"
#include "net/tls_stream.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::minutes purge_interval{10};
constexpr HttpLimits request_limits{};  // 1 MiB, 32 headers: the baseline's
constexpr std::size_t request_memory = 64u << 20;
constexpr std::chrono::seconds farewell_handshake_timeout{2};
constexpr std::chrono::seconds pairing_end_timeout{5};  // more than the listener's own

// Logging stays out of coroutines: g++ 12 miscompiles initializer lists there.
void log_start(const std::string& address, bool tls) {
    log_event(LogLevel::notice, "api-start",
              {{"ADDRESS", address}, {"TLS", tls ? "yes" : "no"}, {"VERSION", CTRL_EXEC_VERSION}});
}

void log_stop(bool drained) {
    log_event(LogLevel::notice, "api-stop", {{"DRAINED", drained ? "yes" : "no"}});
}

void log_warnings(const ApiSnapshot& snapshot) {
    for (const auto& text : snapshot.config.warnings)
        log_event(LogLevel::warning, "config-warn", {{"TEXT", text}});
}

void log_tls_failure(const std::string& peer, const Error& why) {
    log_event(LogLevel::notice, "tls-failure", {{"PEER", peer}, {"REASON", why.text()}});
}

void log_purge_failure(const Error& why) {
    log_event(LogLevel::error, "run-purge-fail", {{"ERROR", why.text()}});
}

// To what could not be read as a request.
HttpAnswer refusal(ApiState& state, const std::string& peer, const Error& why) {
    log_event(LogLevel::notice, "api-reject", {{"PEER", peer}, {"REASON", why.text()}});
    HttpAnswer answer = malformed_api_request(state, why);
    if (why.code == Errc::busy) answer.headers.emplace_back("Retry-After", "1");
    return answer;
}

std::unique_ptr<Stream> make_stream(asio::ip::tcp::socket socket, const ApiSnapshot& snapshot) {
    if (snapshot.tls) return std::make_unique<TlsStream>(std::move(socket), snapshot.tls);
    return std::make_unique<PlainStream>(std::move(socket));
}

Result<MaintenanceTools> maintenance_tools(const ApiSnapshot& snapshot) {
    return MaintenanceTools{snapshot.config, snapshot.dispatch};
}

}  // namespace

ApiServer::ApiServer(Runtime& runtime, std::string config_path)
    : runtime_(runtime),
      quit_(runtime.io(), SIGTERM, SIGINT),
      hangup_(runtime.io(), SIGHUP),
      config_path_(std::move(config_path)),
      state_(std::make_shared<ApiState>(runtime)),
      budget_(std::make_shared<RequestBudget>(request_memory)) {}

Result<std::unique_ptr<ApiServer>> ApiServer::create(Runtime& runtime, std::string config_path) {
    std::unique_ptr<ApiServer> server(new ApiServer(runtime, std::move(config_path)));
    TRY(const DispatcherConfig before, DispatcherConfig::load(server->config_path_));
    server->stamp_ = identity_stamp(before);  // before it is read: a change meanwhile is met later
    TRY(server->snapshot_, ApiSnapshot::load(runtime, server->config_path_));
    const DispatcherConfig& config = server->snapshot_->config;
    set_log_format(config.log_format);
    server->state_->begin_anew(config);
    TRY(server->listener_, Listener::open(runtime, config.api_bind, config.api_port));
    server->state_->open_connections = [listener = server->listener_.get()] {
        return listener->connections();
    };
    log_warnings(*server->snapshot_);
    return server;
}

PairingEvents ApiServer::pairing_events() {
    PairingEvents events;
    events.counted = [state = state_](std::string_view result, std::string_view trust) {
        state->metrics.count_pairing(result, trust);
    };
    return events;
}

void ApiServer::reload() {
    auto loaded = ApiSnapshot::load(runtime_, config_path_);
    if (!loaded) {
        log_event(LogLevel::error, "config-warn",
                  {{"TEXT", "reload failed, the previous configuration stays: " + loaded.error().text()}});
        return;
    }
    snapshot_ = std::move(*loaded);
    set_log_format(snapshot_->config.log_format);
    state_->begin_anew(snapshot_->config);
    log_warnings(*snapshot_);
    if (pairing_) pairing_->take_settings_of_now();
    log_event(LogLevel::info, "reload", {});
}

// Only that: the rest of the configuration is read when the operator says so.
void ApiServer::take_identity_of_now() {
    auto renewed = snapshot_->with_identity_of_now(runtime_);
    if (!renewed) {
        log_event(LogLevel::error, "config-warn",
                  {{"TEXT", "the dispatcher's certificate has changed, the previous one stays in use: " +
                                renewed.error().text()}});
        return;
    }
    snapshot_ = std::move(*renewed);
    if (pairing_) pairing_->take_identity_of_now();
    log_event(LogLevel::info, "identity-reload", {});
}

// Old runs, old Idempotency-Keys, and join tokens that expired long ago.
asio::awaitable<void> ApiServer::purge_loop() {
    asio::steady_timer timer(runtime_.io());
    std::error_code ignored;
    for (;;) {
        std::function<Result<bool>()> work = [config = snapshot_->config]() -> Result<bool> {
            TRY_DO(RunStore(config.runs_dir()).purge(now_seconds()));
            TRY_DO(SubmittedRuns(config.runs_dir()).purge(now_seconds()));
            TRY_DO(IdempotencyStore(config.idempotency_dir()).purge(now_seconds()));
            TRY_DO(JoinTokens(config).purge(now_seconds()));
            return true;
        };
        const auto purged = co_await offload<bool>(runtime_.pool(), file_timeout, std::move(work));
        if (!purged) log_purge_failure(purged.error());
        timer.expires_after(purge_interval);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

asio::awaitable<int> ApiServer::serve() {
    log_start(address(), snapshot_->tls != nullptr);
    std::function<void()> on_hangup = [this] { reload(); };
    runtime_.spawn(on_each_signal(hangup_, std::move(on_hangup)));
    Listener::Start start = [this](asio::ip::tcp::socket socket, std::string peer) {
        return session(std::move(socket), std::move(peer));
    };
    Listener::Start full = [this](asio::ip::tcp::socket socket, std::string peer) {
        return farewell(std::move(socket), std::move(peer));
    };
    const auto most = static_cast<std::size_t>(snapshot_->config.api_max_connections);
    runtime_.spawn(listener_->accept_loop(most, std::move(start), std::move(full)));
    runtime_.spawn(purge_loop());
    std::function<Result<MaintenanceTools>()> tools = [this] { return maintenance_tools(*snapshot_); };
    std::function<void(const std::vector<RenewalResult>&)> count =
        [this](const std::vector<RenewalResult>& round) {
            for (const auto& renewal : round) state_->metrics.count_renewal(renewal);
        };
    runtime_.spawn(maintain_certificates(runtime_, std::move(tools), std::move(count)));
    const std::function<DispatcherConfig()> config = [this] { return snapshot_->config; };
    std::function<void()> on_change = [this] { take_identity_of_now(); };
    std::vector<std::int64_t> stamp = stamp_;
    runtime_.spawn(watch_identity(runtime_, std::move(stamp), config, std::move(on_change)));
    pairing_ = PairingHost::create(runtime_, config, pairing_events());
    runtime_.spawn(pairing_->run());
    std::error_code ignored;
    co_await quit_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    // New connections are still taken meanwhile, so that /readyz can say why nothing else is.
    state_->stopping = true;
    state_->events.wake_all();
    pairing_->stop();
    const bool drained =
        co_await state_->wait_for_dispatches(std::chrono::seconds(snapshot_->config.shutdown_grace));
    listener_->stop();
    (void)co_await listener_->drain(goodbye_timeout);
    listener_->close_sessions();
    co_await pairing_->wait_for_end(pairing_end_timeout);
    log_stop(drained);
    co_return drained ? 0 : 1;
}

asio::awaitable<void> ApiServer::session(asio::ip::tcp::socket socket, std::string peer_ip) {
    auto stream = make_stream(std::move(socket), *snapshot_);
    HttpSession session(listener_, std::move(stream), std::move(peer_ip), request_limits, budget_);
    if (const auto shaken = co_await session.handshake(); !shaken) {
        log_tls_failure(session.peer_ip(), shaken.error());
        co_return;
    }
    for (;;) {
        auto request = co_await session.read_request();
        if (!request) {
            const Errc code = request.error().code;
            if (code == Errc::closed || code == Errc::timed_out || code == Errc::cancelled ||
                session.http().idle())
                break;
            HttpAnswer answer = refusal(*state_, session.peer_ip(), request.error());
            (void)co_await session.answer(std::move(answer), false, 1);
            co_await session.goodbye_unread();
            co_return;
        }
        const int minor = request->minor_version;
        const bool head_only = request->method == "HEAD";
        const bool wanted = request->keep_alive;
        HttpAnswer answer =
            co_await answer_api_request(snapshot_, state_, session.peer_ip(), std::move(*request));
        const bool keep = wanted && !listener_->stopping();
        const auto sent = co_await session.answer(std::move(answer), keep, minor, head_only);
        if (!sent || !keep) break;
    }
    co_await session.goodbye();
}

asio::awaitable<void> ApiServer::farewell(asio::ip::tcp::socket socket, std::string peer_ip) {
    auto stream = make_stream(std::move(socket), *snapshot_);
    HttpSession session(listener_, std::move(stream), std::move(peer_ip), request_limits);
    const auto shaken = co_await session.handshake(farewell_handshake_timeout);
    if (!shaken) co_return;
    HttpAnswer answer = api_unavailable("too many connections", "see api_max_connections");
    (void)co_await session.answer(std::move(answer), false, 1);
    co_await session.goodbye_unread();
}

}  // namespace ctrlexec
