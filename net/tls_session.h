// One accepted TLS connection: handshake, requests in turn, answers, under one deadline.
#pragma once

#include <asio/ip/tcp.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "core/result.h"
#include "net/deadline.h"
#include "net/http_connection.h"
#include "net/listener.h"
#include "net/tls_stream.h"

namespace ctrlexec {

inline constexpr std::chrono::seconds handshake_timeout{10};
inline constexpr std::chrono::seconds request_timeout{30};  // a whole request, head and body
inline constexpr std::chrono::seconds answer_timeout{60};   // our answer taken by the peer
inline constexpr std::chrono::seconds goodbye_timeout{2};   // the peer's close_notify

class TlsSession final : public Session {
  public:
    TlsSession(std::shared_ptr<Listener> listener, asio::ip::tcp::socket socket, std::string peer_ip,
               std::shared_ptr<TlsContext> context, HttpLimits limits);
    ~TlsSession() override;

    // With handshake_timeout. Errc::timed_out when it passed.
    asio::awaitable<Result<void>> handshake();

    // The next request, with request_timeout. Errc::closed when the peer has ended the connection between
    // requests or the listener is stopping; bad_request "empty request" when it ended without sending
    // anything.
    asio::awaitable<Result<HttpMessage>> read_request();

    // Sends one answer, with answer_timeout.
    asio::awaitable<Result<void>> answer(int status, std::string body, bool keep_alive,
                                         int minor_version = 0);

    // // Orderly end: our close_notify, then the peer's, with goodbye_timeout (shorter when the listener is
    // stopping).
    asio::awaitable<void> goodbye();

    // The same after an answer to a request that was not read to its end: what the peer still sends is thrown
    // away, since closing with unread bytes would reset the connection and the peer could lose our answer.
    asio::awaitable<void> goodbye_unread();

    void close() override;

    TlsStream& stream() { return stream_; }
    HttpConnection& http() { return http_; }
    Deadline& deadline() { return deadline_; }
    const std::string& peer_ip() const { return peer_ip_; }

  private:
    Error late_or(Error error, std::string_view doing) const;
    std::shared_ptr<Listener> listener_;
    std::string peer_ip_;
    TlsStream stream_;
    HttpConnection http_;
    Deadline deadline_;
};

}  // namespace ctrlexec
