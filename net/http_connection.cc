#include "net/http_connection.h"

#include <array>

namespace ctrlexec {
namespace {

constexpr std::size_t idle_bytes = 1024;
constexpr std::size_t read_bytes = 16 * 1024;
constexpr std::size_t tls_record_bytes = 16 * 1024;
constexpr std::string_view interim = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

HttpConnection::HttpConnection(Stream& stream, HttpParser::Kind kind, HttpLimits limits,
                               std::shared_ptr<RequestBudget> budget)
    : stream_(stream), parser_(kind, limits), share_(std::move(budget)), buffer_(idle_bytes) {}

// Only between messages or when all has been fed: unread_ points into the buffer.
void HttpConnection::grow() {
    if (unread_.empty() && buffer_.size() < read_bytes) buffer_.resize(read_bytes);
}

void HttpConnection::shrink() {
    if (unread_.empty() && buffer_.size() > idle_bytes) buffer_ = std::vector<char>(idle_bytes);
}

asio::awaitable<Result<HttpMessage>> HttpConnection::read(std::function<void()> on_begin) {
    share_.release();
    shrink();
    bool begun = false;
    bool continued = false;
    for (;;) {
        CO_TRY(const std::size_t used, parser_.feed(unread_));
        unread_.remove_prefix(used);
        if (!share_.cover(parser_.memory()))
            co_return fail(Errc::busy, "too many large requests", "try again, or send a smaller one");
        if (parser_.complete()) co_return parser_.take();
        if (!begun && !parser_.idle()) {
            begun = true;
            grow();
            if (on_begin) on_begin();
        }
        if (!continued && parser_.expects_continue()) {
            continued = true;
            CO_TRY_DO(co_await stream_.write(asio::buffer(interim)));
        }
        if (admit_ && parser_.memory() > free_bytes_) {
            const auto admit = std::exchange(admit_, nullptr);
            co_await admit(parser_.expected_body());
        }
        CO_TRY(const std::size_t n, co_await stream_.read_some(asio::buffer(buffer_)));
        if (n == 0) {
            CO_TRY_DO(parser_.finish());
            co_return parser_.take();
        }
        unread_ = std::string_view(buffer_.data(), n);
    }
}

asio::awaitable<Result<void>> HttpConnection::write(std::string head, std::string body) {
    if (head.size() + body.size() <= tls_record_bytes) {
        head += body;
        co_return co_await stream_.write(asio::buffer(head));
    }
    CO_TRY_DO(co_await stream_.write(asio::buffer(head)));
    co_return co_await stream_.write(asio::buffer(body));
}

}  // namespace ctrlexec
