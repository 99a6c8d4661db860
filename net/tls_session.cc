#include "net/tls_session.h"

#include <fmt/format.h>

#include "core/protocol.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_discarded = 4u << 20;
constexpr std::chrono::milliseconds stopping_goodbye_timeout{200};

// Not in the coroutine: g++ 12 miscompiles initializer lists there.
std::string answer_head(int status, int minor_version, std::size_t length, bool keep_alive) {
    return response_head(status, minor_version, length, keep_alive, {{protocol_header, protocol_generation}});
}

}  // namespace

TlsSession::TlsSession(std::shared_ptr<Listener> listener, asio::ip::tcp::socket socket, std::string peer_ip,
                       std::shared_ptr<TlsContext> context, HttpLimits limits)
    : listener_(std::move(listener)),
      peer_ip_(std::move(peer_ip)),
      stream_(std::move(socket), std::move(context)),
      http_(stream_, HttpParser::Kind::request, limits),
      deadline_(stream_.socket().get_executor(), [this] { stream_.close(); }) {
    listener_->enter(this);
}

TlsSession::~TlsSession() {
    listener_->leave(this);
}

Error TlsSession::late_or(Error error, std::string_view doing) const {
    if (!deadline_.expired()) return error;
    return fail(Errc::timed_out, fmt::format("the peer took too long for {}", doing));
}

asio::awaitable<Result<void>> TlsSession::handshake() {
    deadline_.arm(handshake_timeout);
    auto done = co_await stream_.handshake_server();
    deadline_.disarm();
    if (!done) co_return late_or(std::move(done).error(), "the handshake");
    co_return success();
}

asio::awaitable<Result<HttpMessage>> TlsSession::read_request() {
    busy = false;
    if (listener_->stopping()) co_return fail(Errc::closed, "shutting down");
    deadline_.arm(request_timeout);
    auto request = co_await http_.read();
    deadline_.disarm();
    busy = true;
    if (!request) co_return late_or(std::move(request).error(), "the request");
    co_return std::move(request);
}

asio::awaitable<Result<void>> TlsSession::answer(int status, std::string body, bool keep_alive,
                                                 int minor_version) {
    std::string head = answer_head(status, minor_version, body.size(), keep_alive);
    deadline_.arm(answer_timeout);
    auto written = co_await http_.write(std::move(head), std::move(body));
    deadline_.disarm();
    if (!written) co_return late_or(std::move(written).error(), "taking the answer");
    co_return success();
}

asio::awaitable<void> TlsSession::goodbye() {
    busy = false;  // the answer is out: a shutdown need not wait for the peer's last word
    deadline_.arm(listener_->stopping() ? std::chrono::milliseconds(stopping_goodbye_timeout)
                                        : goodbye_timeout);
    co_await stream_.shutdown();
    stream_.close();
    deadline_.disarm();
}

asio::awaitable<void> TlsSession::goodbye_unread() {
    busy = false;
    deadline_.arm(goodbye_timeout);
    co_await stream_.shutdown();
    co_await stream_.discard_raw(max_discarded);
    stream_.close();
    deadline_.disarm();
}

void TlsSession::close() {
    stream_.close();
}

}  // namespace ctrlexec
