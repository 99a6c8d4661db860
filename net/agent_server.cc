#include "net/agent_server.h"

#include <fmt/format.h>

#include <asio/redirect_error.hpp>

#include <algorithm>
#include <asio/use_awaitable.hpp>
#include <csignal>

#include "core/log.h"
#include "core/protocol.h"
#include "net/agent_routes.h"
#include "net/http_session.h"
#include "net/tls_stream.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::seconds terminate_timeout{3};
constexpr std::chrono::seconds terminate_grace{2};  // then KILL, whatever kill_grace says
constexpr HttpLimits request_limits{};              // 1 MiB, 32 headers: the baseline's

void log_warnings(const AgentSnapshot& snapshot) {
    for (const auto& text : snapshot.config.warnings)
        log_event(LogLevel::warning, "config-warn", {{"TEXT", text}});
    for (const auto& text : snapshot.revoked.warnings())
        log_event(LogLevel::warning, "config-warn", {{"TEXT", text}});
    for (const auto& text : snapshot.allowlist.warnings())
        log_event(LogLevel::warning, "config-warn", {{"TEXT", text}});
    if (!snapshot.dispatchers.empty()) return;
    const std::string& path = snapshot.config.dispatcher_serial_path;
    const std::string why = snapshot.dispatchers.emptied() ? " (" + path + " is empty or missing)" : "";
    log_event(
        LogLevel::warning, "config-warn",
        {{"TEXT", "no dispatcher is trusted: every request will be refused; pair this agent again" + why}});
}

// Logging stays out of coroutines: g++ 12 miscompiles initializer lists there.
void log_start(const AgentSnapshot& snapshot, const std::string& address) {
    log_event(LogLevel::notice, "start",
              {{"ADDRESS", address}, {"HOST", snapshot.config.hostname}, {"VERSION", CTRL_EXEC_VERSION}});
}

void log_stop(bool drained) {
    log_event(LogLevel::notice, "stop", {{"DRAINED", drained ? "yes" : "no"}});
}

void log_no_control(const Error& why) {
    log_event(LogLevel::warning, "config-warn", {{"TEXT", why.text()}});
}

void log_ip_block(const std::string& peer) {
    log_event(LogLevel::warning, "ip-block", {{"PEER", peer}});
}

void log_rate_limit(const std::string& peer, const RateLimiter::Event& event) {
    if (event.blocked) {
        log_event(LogLevel::warning, "rate-block",
                  {{"KIND", std::string(event.kind)}, {"LIMIT", event.blocked->text()}, {"PEER", peer}});
    }
    if (event.evicted) log_event(LogLevel::warning, "rate-evict", {{"PEER", *event.evicted}});
}

RateLimiter make_limiter(const AgentConfig& config) {
    return RateLimiter(config.rate_limit_volume, config.rate_limit_probe, !config.rate_limit_disable);
}

void log_tls_failure(const std::string& peer, const Error& why) {
    log_event(LogLevel::warning, "tls-failure", {{"PEER", peer}, {"REASON", why.text()}});
}

}  // namespace

AgentServer::AgentServer(Runtime& runtime, std::string config_path, std::string allowlist_path)
    : runtime_(runtime),
      quit_(runtime.io(), SIGTERM, SIGINT),
      hangup_(runtime.io(), SIGHUP),
      config_path_(std::move(config_path)),
      allowlist_path_(std::move(allowlist_path)),
      limiter_(make_limiter(AgentConfig())) {}

Result<std::unique_ptr<AgentServer>> AgentServer::create(Runtime& runtime, std::string config_path,
                                                         std::string allowlist_path) {
    std::unique_ptr<AgentServer> server(
        new AgentServer(runtime, std::move(config_path), std::move(allowlist_path)));
    TRY(server->snapshot_, AgentSnapshot::load(server->config_path_, server->allowlist_path_));
    const AgentConfig& config = server->snapshot_->config;
    set_log_format(config.log_format);
    server->limiter_ = make_limiter(config);
    server->jobs_ = std::make_unique<AgentJobs>(runtime, config.state_dir + "/jobs");
    TRY(server->listener_, Listener::open(runtime, config.bind, config.port));
    auto control =
        AgentControl::open(runtime, server->config_path_, [agent = server.get()] { return agent->reload(); });
    if (control) {
        server->control_ = std::move(*control);
    } else {
        log_no_control(control.error());
    }
    log_warnings(*server->snapshot_);
    return server;
}

Result<void> AgentServer::reload() {
    auto loaded = AgentSnapshot::load(config_path_, allowlist_path_);
    if (!loaded) {
        log_event(LogLevel::error, "config-warn",
                  {{"TEXT", "reload failed, the previous configuration stays: " + loaded.error().text()}});
        return std::move(loaded).error();
    }
    snapshot_ = std::move(*loaded);
    set_log_format(snapshot_->config.log_format);
    limiter_ = make_limiter(snapshot_->config);  // the operator's way to lift a block
    log_warnings(*snapshot_);
    log_event(LogLevel::info, "reload", {{"SCRIPTS", std::to_string(snapshot_->allowlist.scripts().size())}});
    return success();
}

Result<void> AgentServer::reread(AgentPart part) {
    auto changed = snapshot_->reread(part);
    if (!changed) {
        log_event(LogLevel::error, "config-warn",
                  {{"TEXT", "stored, but it cannot be used: " + changed.error().text()}});
        return std::move(changed).error();
    }
    snapshot_ = std::move(*changed);
    return success();
}

asio::awaitable<bool> AgentServer::drain() {
    const std::chrono::seconds grace(snapshot_->config.shutdown_grace);
    const bool drained = co_await listener_->drain(grace - std::min(grace, terminate_timeout));
    if (drained) co_return true;
    children_.terminate_all(terminate_grace);
    co_return co_await listener_->drain(std::min(grace, terminate_timeout));
}

asio::awaitable<int> AgentServer::serve() {
    log_start(*snapshot_, address());
    std::function<void()> on_hangup = [this] { (void)reload(); };
    runtime_.spawn(on_each_signal(hangup_, std::move(on_hangup)));
    if (control_) runtime_.spawn(control_->serve());
    co_await jobs_->adopt();
    runtime_.spawn(listener_->accept_loop(static_cast<std::size_t>(snapshot_->config.max_connections),
                                          [this](asio::ip::tcp::socket socket, std::string peer) {
                                              return session(std::move(socket), std::move(peer));
                                          }));
    std::error_code ignored;
    co_await quit_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    listener_->stop();
    jobs_->stop_waiting();
    const bool drained = co_await drain();
    listener_->close_sessions();
    log_stop(drained);
    co_return 0;
}

// `failed`: without a valid certificate, or with a revoked one. A certificate of our CA that is not trusted
// is no such probe: most often it is the owner's new dispatcher, which must not find itself shut out for an
// hour.
void AgentServer::count_stranger(const std::string& ip, bool failed) {
    log_rate_limit(ip, limiter_.untrusted(ip, failed, std::chrono::steady_clock::now()));
}

void AgentServer::count_friend(const std::string& ip) {
    log_rate_limit(ip, limiter_.trusted(ip, std::chrono::steady_clock::now()));
}

namespace {

asio::awaitable<void> say_processing(HttpSession& session) {
    (void)co_await session.say_processing();  // when it fails the answer will, too
}

}  // namespace

asio::awaitable<void> AgentServer::session(asio::ip::tcp::socket socket, std::string peer_ip) {
    if (!snapshot_->admits(peer_ip)) {
        log_ip_block(peer_ip);
        co_return;
    }
    const auto admission = limiter_.admit(peer_ip, std::chrono::steady_clock::now());
    if (admission == RateLimiter::Admission::refused) co_return;
    const TlsContext* context = snapshot_->tls.get();
    auto tls = std::make_unique<TlsStream>(std::move(socket), snapshot_->tls);
    const TlsStream* secured = tls.get();
    HttpSession session(listener_, std::move(tls), std::move(peer_ip), request_limits);
    if (const auto shaken = co_await session.handshake(); !shaken) {
        if (admission == RateLimiter::Admission::open) log_tls_failure(session.peer_ip(), shaken.error());
        count_stranger(session.peer_ip(), true);
        co_return;
    }
    const auto certificate = secured->peer_certificate();
    AgentPeer peer;
    peer.ip = session.peer_ip();
    if (certificate) peer.serial = certificate->serial();
    // Our own certificate is a self-ping's, which a health check may start as often as it likes.
    const bool known =
        snapshot_->dispatcher_of(peer.serial) != nullptr || peer.serial == snapshot_->certificate_serial;
    if (known) {
        count_friend(peer.ip);
    } else {
        count_stranger(peer.ip, snapshot_->revoked.contains(peer.serial));
    }
    if (!known && admission != RateLimiter::Admission::open) co_return;
    for (bool first = true;; first = false) {
        auto request = co_await session.read_request();
        if (!request) {
            const bool silent_end =
                !first && request.error().code == Errc::bad_request && session.http().idle();
            if (silent_end || request.error().code == Errc::closed || request.error().code == Errc::timed_out)
                break;
            HttpAnswer answer = error_answer(request.error());
            (void)co_await session.answer(std::move(answer), false);
            co_await session.goodbye_unread();
            co_return;
        }
        if (!snapshot_->admits(peer.ip)) {  // since a reload
            log_ip_block(peer.ip);
            break;
        }
        // Only a peer of ours keeps the connection: old ones expect HTTP/1.0 and its close. After a reload it
        // has to shake hands anew, since certificate and CA may be others.
        const bool ours = request->has_header(protocol_header_lower);
        const bool wanted = request->keep_alive && ours;
        if (ours) peer.on_slow = [&session] { return say_processing(session); };
        HttpAnswer answer = co_await answer_request(snapshot_, peer, std::move(*request), *this);
        const bool keep = wanted && !listener_->stopping() && snapshot_->tls.get() == context;
        const bool recent = keep || answer.stream != nullptr;  // as only peers of ours get
        const auto sent = co_await session.answer(std::move(answer), keep, recent ? 1 : 0);
        // Without a goodbye, which would tell a dispatcher of ours that the request was not taken.
        if (!sent) co_return;
        if (!keep) break;
    }
    co_await session.goodbye();
}

}  // namespace ctrlexec
