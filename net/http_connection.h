// HTTP/1.x messages over one stream.
#pragma once

#include <asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "net/http_message.h"
#include "net/http_parser.h"
#include "net/request_budget.h"
#include "net/stream.h"

namespace ctrlexec {

class HttpConnection {
  public:
    // Borrows the stream. Messages over `budget` (may be null) are refused with Errc::busy.
    HttpConnection(Stream& stream, HttpParser::Kind kind, HttpLimits limits,
                   std::shared_ptr<RequestBudget> budget = nullptr);

    // The next whole message. The caller's deadline bounds it. `on_begin` (may be empty) runs when its first
    // bytes have arrived. A request that expects it gets 100 Continue once its head is accepted.
    asio::awaitable<Result<HttpMessage>> read(std::function<void()> on_begin = {});

    // Awaited once, before a message grows beyond `free_bytes` of memory, with the size that is expected of
    // its body. Meanwhile nothing is read.
    void admit_large(std::size_t free_bytes, std::function<asio::awaitable<void>(std::size_t)> admit) {
        free_bytes_ = free_bytes;
        admit_ = std::move(admit);
    }

    // One TLS write when head and body fit a record together; otherwise the head first and then the body, so
    // that a body of at most 16 KiB always arrives in one record: old peers read it with one call.
    asio::awaitable<Result<void>> write(std::string head, std::string body);

    // The last message is not needed any more: its share of the budget is free for others. At the latest the
    // next read() gives it back.
    void release() { share_.release(); }

    // See HttpParser.
    bool processing() const { return parser_.processing(); }
    void stream_body(std::string_view content_type, std::function<void(std::string_view)> sink) {
        parser_.stream_body(content_type, std::move(sink));
    }

    // Not a byte of the next message has arrived.
    bool idle() const { return parser_.idle(); }

    // Between messages: nothing came after the last one.
    bool drained() const { return unread_.empty(); }

  private:
    Stream& stream_;
    HttpParser parser_;
    RequestBudget::Share share_;
    std::size_t free_bytes_ = 0;
    std::function<asio::awaitable<void>(std::size_t)> admit_;
    void grow();
    void shrink();
    // Small while nothing arrives: there may be thousands of idle connections.
    std::vector<char> buffer_;
    std::string_view unread_;  // in buffer_: bytes after the last message
};

}  // namespace ctrlexec
