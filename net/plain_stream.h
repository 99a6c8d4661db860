// One TCP connection without TLS.
#pragma once

#include <asio/ip/tcp.hpp>

#include "net/stream.h"

namespace ctrlexec {

class PlainStream final : public Stream {
  public:
    explicit PlainStream(asio::ip::tcp::socket socket);

    asio::awaitable<Result<void>> handshake_server() override;  // nothing to do
    asio::awaitable<Result<std::size_t>> read_some(asio::mutable_buffer buffer) override;
    asio::awaitable<Result<void>> write(asio::const_buffer buffer) override;
    asio::awaitable<bool> shutdown() override;
    void close() override;
    asio::ip::tcp::socket& socket() override { return socket_; }

  private:
    asio::ip::tcp::socket socket_;
};

}  // namespace ctrlexec
