// A byte stream to a peer, with or without TLS.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/ip/tcp.hpp>
#include <cstddef>

#include "core/result.h"

namespace ctrlexec {

class Stream {
  public:
    Stream() = default;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    virtual ~Stream() = default;

    // At least one byte, or 0 when the peer has ended the stream (also without a TLS close_notify: old peers
    // just close, and HTTP framing tells whether something is missing).
    virtual asio::awaitable<Result<std::size_t>> read_some(asio::mutable_buffer buffer) = 0;

    // All of it. At most 16 KiB go out as one TLS record, which old agents depend on.
    virtual asio::awaitable<Result<void>> write(asio::const_buffer buffer) = 0;

    // Says goodbye; TLS waits for the peer's, which the caller's deadline bounds. True when the peer has
    // ended too: then nothing more comes. The caller closes.
    virtual asio::awaitable<bool> shutdown() = 0;

    // At once; whatever waits on the stream fails.
    virtual void close() = 0;

    // The server's side of whatever must come before the first byte: for TLS the handshake. Errc::tls_failed
    // with the reason in the message; closed when the peer just went away.
    virtual asio::awaitable<Result<void>> handshake_server() = 0;

    virtual asio::ip::tcp::socket& socket() = 0;
};

}  // namespace ctrlexec
