#include "net/pairing_listener.h"

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "core/digest.h"
#include "core/dispatcher_identity.h"
#include "core/log.h"
#include "core/pairing_approval.h"
#include "core/timestamp.h"
#include "net/tls_stream.h"

namespace ctrlexec {
namespace {

constexpr HttpLimits request_limits{8192, 32, 64 * 1024};
constexpr std::size_t extra_connections = 64;  // beyond those that wait: handshakes and requests under way
constexpr std::chrono::seconds queue_timeout{20};
// A queue on a file system without inotify (some network mounts) is looked at this often.
constexpr std::chrono::seconds poll_interval{2};
constexpr std::chrono::seconds drain_timeout{3};
constexpr std::size_t max_stray_bytes = 64 * 1024;

json::Value denied(std::string_view reason) {
    return json::Value(json::Object{{"status", "denied"}, {"reason", reason}});
}

// Logging and JSON stay out of coroutines: g++ 12 miscompiles initializer lists there.
void log_request(const PairingRequest& request) {
    log_event(
        LogLevel::notice, "pair-request",
        {{"CODE", request.code}, {"HOST", request.hostname}, {"PEER", request.ip}, {"REQID", request.id}});
}

void log_end(const PairingRequest& request, const std::string& outcome) {
    log_event(LogLevel::notice, "pair-end",
              {{"HOST", request.hostname}, {"OUTCOME", outcome}, {"REQID", request.id}});
}

void log_reject(const std::string& peer, const Error& why) {
    log_event(LogLevel::notice, "pair-reject", {{"PEER", peer}, {"REASON", why.text()}});
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

HttpAnswer pending(const std::string& id) {
    return json_answer(200, json::Object{{"status", "pending"}, {"reqid", id}});
}

HttpAnswer refusal(const Error& why) {
    const char* reason = why.code == Errc::busy ? "pairing queue full" : "invalid request";
    return json_answer(200, json::Object{{"status", "error"}, {"reason", reason}});
}

}  // namespace

struct PairingListener::Wait {
    explicit Wait(Runtime& runtime) : wake(runtime.io()) {}
    asio::steady_timer wake;
    bool gone = false;      // the agent has hung up
    bool answered = false;  // with the operator's word: then hanging up is all that is left to it
};

PairingListener::PairingListener(Runtime& runtime, const DispatcherConfig& config, PairingEvents events,
                                 FileLock lock)
    : runtime_(runtime),
      quit_(runtime.io(), asio::steady_timer::time_point::max()),
      config_(config),
      queue_(config.pairing_dir()),
      events_(std::move(events)),
      lock_(std::move(lock)) {}

Result<std::shared_ptr<PairingListener>> PairingListener::create(Runtime& runtime,
                                                                 const DispatcherConfig& config,
                                                                 PairingEvents events) {
    TRY_DO(load_dispatcher_identity(config));
    TRY(FileLock lock, PairingQueue(config.pairing_dir()).lock_listener());
    std::shared_ptr<PairingListener> self(
        new PairingListener(runtime, config, std::move(events), std::move(lock)));
    {
        TRY(const FileLock queue_lock, self->queue_.lock());
        self->queue_.drop_all();
    }
    TRY_DO(self->load_tls());
    TRY(self->listener_, Listener::open(runtime, config.pairing_bind, config.pairing_port));
    return self;
}

Result<void> PairingListener::load_tls() {
    TRY(const Identity identity, load_dispatcher_identity(config_));
    TlsContext::Options options;
    options.certificate = &identity.certificate;
    options.key = &identity.key;
    TRY(tls_, TlsContext::create(options));
    return success();
}

void PairingListener::take_identity_of_now() {
    log_identity(load_tls());
}

void PairingListener::stop() {
    stopping_ = true;
    quit_.cancel();
}

// Which request was answered does not matter: each waiter looks for its own answer, and there are few.
void PairingListener::wake_all() {
    for (const auto& [id, wait] : waiting_) wait->wake.cancel();
}

asio::awaitable<void> PairingListener::run() {
    const auto self = shared_from_this();
    log_mode("pairing-mode-start", address());
    const auto watch = QueueWatch::open(runtime_, queue_.directory());
    std::function<void()> on_change = [self] { self->wake_all(); };
    if (watch) runtime_.spawn(watch->run(std::move(on_change)));
    Listener::Start start = [self](asio::ip::tcp::socket socket, std::string peer) {
        return self->session(std::move(socket), std::move(peer));
    };
    const auto most = static_cast<std::size_t>(config_.pairing_max_queue) + extra_connections;
    runtime_.spawn(listener_->accept_loop(most, std::move(start)));
    std::error_code ignored;
    if (!stopping_) co_await quit_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    listener_->stop();
    for (const auto& [id, wait] : waiting_) wait->gone = true;
    wake_all();
    (void)co_await listener_->drain(drain_timeout);
    listener_->close_sessions();
    if (watch) watch->stop();
    log_mode("pairing-mode-stop", "");
}

asio::awaitable<void> PairingListener::session(asio::ip::tcp::socket socket, std::string peer_ip) {
    const auto session = std::make_shared<HttpSession>(
        listener_, std::make_unique<TlsStream>(std::move(socket), tls_), std::move(peer_ip), request_limits);
    if (const auto shaken = co_await session->handshake(); !shaken) {
        log_reject(session->peer_ip(), shaken.error());
        co_return;
    }
    auto request = co_await accept_request(session);
    if (request) {
        co_await await_operator(session, std::move(*request));
    } else {
        log_reject(session->peer_ip(), request.error());
        HttpAnswer answer = refusal(request.error());
        (void)co_await session->answer(std::move(answer), false);
        co_await session->goodbye_unread();
        co_return;
    }
    co_await session->goodbye();
}

asio::awaitable<Result<PairingRequest>> PairingListener::accept_request(
    std::shared_ptr<HttpSession> session) {
    CO_TRY(const HttpMessage message, co_await session->read_request());
    CO_TRY(PairingRequest request, parse_pairing_body(message.body, config_.pairing_allow_cn_mismatch));
    request.id = new_reqid();
    request.ip = session->peer_ip();
    request.received = iso8601(now_seconds());
    const auto limit = static_cast<std::size_t>(config_.pairing_max_queue);
    std::function<Result<PairingRequest>()> enqueue = [queue = queue_, request,
                                                       limit]() -> Result<PairingRequest> {
        TRY(const FileLock lock, queue.lock());
        queue.drop_expired(now_seconds());
        TRY_DO(queue.add(request, limit, now_seconds()));
        return request;
    };
    co_return co_await offload<PairingRequest>(runtime_.pool(), queue_timeout, std::move(enqueue));
}

namespace {

// Ends when the agent hangs up. Nothing is expected from it any more; what it sends is read and dropped.
asio::awaitable<void> watch_hang_up(std::shared_ptr<HttpSession> session, std::function<void()> on_gone) {
    std::array<char, 1024> buffer{};
    for (std::size_t total = 0; total < max_stray_bytes;) {
        const auto n = co_await session->stream().read_some(asio::buffer(buffer));
        if (!n || *n == 0) break;
        total += *n;
    }
    on_gone();
}

}  // namespace

asio::awaitable<void> PairingListener::await_operator(std::shared_ptr<HttpSession> session,
                                                      PairingRequest request) {
    const auto wait = std::make_shared<Wait>(runtime_);
    waiting_[request.id] = wait;
    log_request(request);
    HttpAnswer first = pending(request.id);
    const auto queued = co_await session->answer(std::move(first), true);
    wait->gone = wait->gone || !queued;
    std::function<void()> on_gone = [wait, session] {
        wait->gone = true;
        wait->wake.cancel();
        if (wait->answered) session->close();
    };
    if (queued && events_.requested) events_.requested(request);
    if (queued) runtime_.spawn(watch_hang_up(session, std::move(on_gone)));
    const std::string without_answer = co_await await_decision(wait, request.id);
    waiting_.erase(request.id);
    const auto answer = co_await settle(request.id, without_answer);
    std::string outcome = answer ? std::string(answer->text("status")) : answer.error().text();
    if (outcome.empty()) {
        outcome = "gone";
    } else if (answer) {
        HttpAnswer second = json_answer(200, *answer);
        const auto sent = co_await session->answer(std::move(second), false);
        wait->answered = true;
        if (!sent || wait->gone) outcome += ", but the agent has hung up";
    }
    log_end(request, outcome);
    if (events_.ended) events_.ended(request, outcome);
}

// The last look and the removal are one step under the queue's lock: an approval either comes before it and
// is delivered, or finds no request any more.
asio::awaitable<Result<json::Value>> PairingListener::settle(std::string id,
                                                             std::string reason_without_answer) {
    std::function<Result<json::Value>()> work = [queue = queue_, id,
                                                 reason_without_answer]() -> Result<json::Value> {
        TRY(const FileLock lock, queue.lock());
        auto answer = queue.answer(id);
        queue.drop(id);
        if (answer) return std::move(*answer);
        return reason_without_answer.empty() ? json::Value() : denied(reason_without_answer);
    };
    co_return co_await offload<json::Value>(runtime_.pool(), queue_timeout, std::move(work));
}

// Waits for the operator; returns what to tell the agent when there is no answer, "" when it is not there any
// more.
asio::awaitable<std::string> PairingListener::await_decision(std::shared_ptr<Wait> wait, std::string id) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(pairing_lifetime);
    for (;;) {
        if (wait->gone || queue_.answer(id)) co_return std::string();
        if (std::chrono::steady_clock::now() >= give_up) co_return std::string("approval timeout");
        wait->wake.expires_after(poll_interval);
        std::error_code ignored;
        co_await wait->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

}  // namespace ctrlexec
