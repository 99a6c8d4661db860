// One TLS connection over TCP.
#pragma once

#include <asio/ip/tcp.hpp>
#include <asio/ssl/stream.hpp>
#include <memory>
#include <optional>
#include <string>

#include "core/certificate.h"
#include "net/stream.h"
#include "net/tls_context.h"

namespace ctrlexec {

class TlsStream final : public Stream {
  public:
    TlsStream(asio::ip::tcp::socket socket, std::shared_ptr<TlsContext> context);
    ~TlsStream() override;

    // `server_name` goes into SNI when it is a name; "" sends none. `session` (may be "") is resumed when the
    // peer still knows it.
    asio::awaitable<Result<void>> handshake_client(std::string server_name, std::string session = {});

    // That the peer has given us for a later connection, "" when it has not; secret. A client has it once it
    // has read something.
    std::string session() const;
    bool resumed() const;

    // After the handshake: the peer's certificate, nothing when it sent none.
    std::optional<Certificate> peer_certificate() const;

    // Between messages: nothing has come that was not read, and the peer has not ended the connection. Looks
    // at the socket without waiting.
    bool quiet();

    // The peer has ended the stream with a close_notify, which nobody else could have sent for it.
    bool peer_said_goodbye() const;

    asio::awaitable<Result<void>> handshake_server() override;
    asio::awaitable<Result<std::size_t>> read_some(asio::mutable_buffer buffer) override;
    asio::awaitable<Result<void>> write(asio::const_buffer buffer) override;
    asio::awaitable<bool> shutdown() override;
    void close() override;
    asio::ip::tcp::socket& socket() override { return stream_.next_layer(); }

  private:
    Result<void> check_resumed() const;
    ssl_st* native() const;
    Error explain(std::string_view doing, const std::error_code& error) const;
    std::shared_ptr<TlsContext> context_;  // outlives the SSL object
    asio::ssl::stream<asio::ip::tcp::socket> stream_;
};

}  // namespace ctrlexec
