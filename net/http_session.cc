#include "net/http_session.h"

#include <fmt/format.h>

#include <array>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "core/protocol.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_discarded = 4u << 20;
constexpr std::chrono::milliseconds stopping_goodbye_timeout{200};

// Not in the coroutine: g++ 12 miscompiles initializer lists there.
std::string answer_head(const HttpAnswer& answer, bool keep_alive, int minor_version) {
    auto headers = answer.headers;
    headers.emplace_back(protocol_header, protocol_generation);
    return response_head(answer.status, minor_version, answer.body.size(), keep_alive, headers);
}

std::string streaming_head(const HttpAnswer& answer, bool keep_alive, int minor_version) {
    auto headers = answer.headers;
    headers.emplace_back(protocol_header, protocol_generation);
    return stream_head(answer.status, minor_version, keep_alive, headers);
}

std::string processing_head() {
    return interim_head(102, {{std::string(protocol_header), std::string(protocol_generation)}});
}

}  // namespace

HttpAnswer json_answer(int status, const json::Value& body) {
    HttpAnswer answer;
    answer.status = status;
    answer.body = json::dump(body);
    return answer;
}

HttpSession::HttpSession(std::shared_ptr<Listener> listener, std::unique_ptr<Stream> stream,
                         std::string peer_ip, HttpLimits limits, std::shared_ptr<RequestBudget> budget)
    : listener_(std::move(listener)),
      peer_ip_(std::move(peer_ip)),
      stream_(std::move(stream)),
      http_(*stream_, HttpParser::Kind::request, limits, std::move(budget)),
      deadline_(stream_->socket().get_executor(), [this] { stream_->close(); }) {
    listener_->enter(this);
}

HttpSession::~HttpSession() {
    listener_->leave(this);
}

Error HttpSession::late_or(Error error, std::string_view doing) const {
    if (!deadline_.expired()) return error;
    return fail(Errc::timed_out, fmt::format("the peer took too long for {}", doing));
}

asio::awaitable<Result<void>> HttpSession::handshake(std::chrono::seconds timeout) {
    deadline_.arm(timeout);
    auto done = co_await stream_->handshake_server();
    deadline_.disarm();
    if (!done) co_return late_or(std::move(done).error(), "the handshake");
    co_return success();
}

asio::awaitable<Result<HttpMessage>> HttpSession::read_request() {
    busy = false;
    if (listener_->stopping()) co_return fail(Errc::closed, "shutting down");
    deadline_.arm(first_ ? request_timeout : idle_timeout);
    first_ = false;
    std::function<void()> begun = [this] { deadline_.arm(request_timeout); };
    auto request = co_await http_.read(std::move(begun));
    deadline_.disarm();
    busy = true;
    if (!request) co_return late_or(std::move(request).error(), "the request");
    co_return std::move(request);
}

asio::awaitable<Result<HttpMessage>> HttpSession::read_due_request(std::chrono::seconds timeout) {
    busy = false;
    if (listener_->stopping()) co_return fail(Errc::closed, "shutting down");
    std::function<void()> end_reading = [this] {
        std::error_code ignored;
        stream_->socket().cancel(ignored);
    };
    Deadline due(stream_->socket().get_executor(), std::move(end_reading));
    due.arm(timeout);
    auto request = co_await http_.read();
    due.disarm();
    busy = true;
    if (!request && due.expired()) co_return fail(Errc::timed_out, "the peer took too long for the request");
    co_return std::move(request);
}

asio::awaitable<Result<void>> HttpSession::send(std::string head, std::string body) {
    deadline_.arm(answer_timeout);
    auto written = co_await http_.write(std::move(head), std::move(body));
    deadline_.disarm();
    if (!written) co_return late_or(std::move(written).error(), "taking the answer");
    co_return success();
}

asio::awaitable<Result<void>> HttpSession::answer(HttpAnswer answer, bool keep_alive, int minor_version,
                                                  bool without_body) {
    http_.release();
    if (answer.stream && !without_body)
        co_return co_await answer_stream(std::move(answer), keep_alive, minor_version);
    std::string head = answer_head(answer, keep_alive, minor_version);
    if (without_body) answer.body.clear();
    co_return co_await send(std::move(head), std::move(answer.body));
}

asio::awaitable<Result<void>> HttpSession::answer_stream(HttpAnswer answer, bool keep_alive,
                                                         int minor_version) {
    const bool chunked = minor_version > 0;
    std::string head = streaming_head(answer, keep_alive && chunked, minor_version);
    CO_TRY_DO(co_await send(std::move(head), std::string()));
    const auto writer = std::make_shared<BodyWriter>(*this, chunked);
    CO_TRY_DO(co_await answer.stream(writer));
    if (!chunked) co_return fail(Errc::closed, "its end is the end of the connection");
    std::string last = "0\r\n\r\n";
    co_return co_await send(std::move(last), std::string());
}

asio::awaitable<Result<void>> HttpSession::say_processing() {
    std::string head = processing_head();
    co_return co_await send(std::move(head), std::string());
}

asio::awaitable<Result<void>> BodyWriter::write(std::string piece) {
    if (piece.empty()) co_return success();
    if (!chunked_) co_return co_await session_.send(std::move(piece), std::string());
    std::string size = fmt::format("{:x}\r\n", piece.size());
    piece += "\r\n";
    co_return co_await session_.send(std::move(size), std::move(piece));
}

bool BodyWriter::stopping() const {
    return session_.listener_->stopping();
}

// What still arrives, undecrypted, until the peer closes.
asio::awaitable<void> HttpSession::discard() {
    std::array<char, 4096> buffer{};
    std::error_code error;
    for (std::size_t total = 0; total < max_discarded && !error;) {
        total += co_await stream_->socket().async_read_some(asio::buffer(buffer),
                                                            asio::redirect_error(asio::use_awaitable, error));
    }
}

asio::awaitable<void> HttpSession::goodbye() {
    co_await end(listener_->stopping() ? stopping_goodbye_timeout : goodbye_timeout);
}

asio::awaitable<void> HttpSession::goodbye_unread() {
    co_await end(goodbye_timeout);
}

asio::awaitable<void> HttpSession::end(std::chrono::milliseconds timeout) {
    busy = false;  // the answer is out: a shutdown need not wait for the peer's last word
    deadline_.arm(timeout);
    // The peer's end, once read, is not read again: to wait for it would only let the time pass.
    const bool ended = co_await stream_->shutdown();
    if (!ended) co_await discard();
    stream_->close();
    deadline_.disarm();
}

void HttpSession::close() {
    stream_->close();
}

}  // namespace ctrlexec
