#include "net/pairing_listener.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "core/dispatcher_identity.h"
#include "core/log.h"
#include "net/http_session.h"
#include "net/pairing_session.h"
#include "net/queue_watch.h"
#include "net/tls_stream.h"

namespace ctrlexec {
namespace {

constexpr HttpLimits request_limits{8192, 32, 64 * 1024};
// Beyond those that wait: handshakes and requests under way, and a whole fleet that joins at once.
constexpr std::size_t extra_connections = 2048;
constexpr std::chrono::seconds drain_timeout{3};

// Half of our descriptors at most: the others are for the files that each of them needs.
std::size_t room(std::size_t wanted) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
    return std::min<std::size_t>(wanted, std::max<std::size_t>(limit.rlim_cur / 2, 64));
}

void log_mode(std::string_view action, const std::string& address) {
    log_event(LogLevel::notice, action, {{"ADDRESS", address}});
}

void log_identity(const Result<void>& loaded) {
    if (loaded) {
        log_event(LogLevel::info, "identity-reload", {});
    } else {
        log_event(LogLevel::error, "config-warn",
                  {{"TEXT", "the dispatcher's certificate has changed, the previous one stays in use: " +
                                loaded.error().text()}});
    }
}

}  // namespace

PairingListener::PairingListener(Runtime& runtime, const DispatcherConfig& config, PairingEvents events,
                                 FileLock lock)
    : runtime_(runtime),
      quit_(runtime.io(), asio::steady_timer::time_point::max()),
      lock_(std::move(lock)),
      port_(std::make_shared<PairingPort>(runtime, config, std::move(events))) {}

Result<std::shared_ptr<PairingListener>> PairingListener::create(Runtime& runtime,
                                                                 const DispatcherConfig& config,
                                                                 PairingEvents events,
                                                                 std::string_view process) {
    TRY_DO(load_dispatcher_identity(config));
    TRY(FileLock lock, PairingQueue(config.pairing_dir()).lock_listener());
    std::shared_ptr<PairingListener> self(
        new PairingListener(runtime, config, std::move(events), std::move(lock)));
    {
        TRY(const FileLock queue_lock, self->port_->queue.lock());
        self->port_->queue.drop_all();
    }
    TRY_DO(self->port_->load_face());
    TRY(self->listener_, Listener::open(runtime, config.pairing_bind, config.pairing_port));
    TRY_DO(self->lock_.write(fmt::format("{} listens on {}", process, self->address())));
    return self;
}

void PairingListener::take_identity_of_now() {
    log_identity(port_->load_face());
}

void PairingListener::stop() {
    stopping_ = true;
    quit_.cancel();
}

asio::awaitable<void> PairingListener::run() {
    const auto self = shared_from_this();
    log_mode("pairing-mode-start", address());
    const auto watch = QueueWatch::open(runtime_, port_->queue.directory());
    std::function<void()> on_change = [port = port_] { port->wake_all(); };
    if (watch) runtime_.spawn(watch->run(std::move(on_change)));
    Listener::Start start = [self](asio::ip::tcp::socket socket, std::string peer) {
        return self->session(std::move(socket), std::move(peer));
    };
    const auto most = static_cast<std::size_t>(port_->config->pairing_max_queue) + extra_connections;
    runtime_.spawn(listener_->accept_loop(room(most), std::move(start)));
    std::error_code ignored;
    if (!stopping_) co_await quit_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    listener_->stop();
    for (const auto& [id, wait] : port_->waiting) wait->gone = true;
    port_->wake_all();
    (void)co_await listener_->drain(drain_timeout);
    listener_->close_sessions();
    if (watch) watch->stop();
    log_mode("pairing-mode-stop", "");
}

asio::awaitable<void> PairingListener::session(asio::ip::tcp::socket socket, std::string peer_ip) {
    auto stream = std::make_unique<TlsStream>(std::move(socket), port_->face->tls);
    const auto session =
        std::make_shared<HttpSession>(listener_, std::move(stream), std::move(peer_ip), request_limits);
    PairingSession conversation(port_, session);
    co_await conversation.run();
}

}  // namespace ctrlexec
