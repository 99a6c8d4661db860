// One accepted connection: handshake, requests in turn, answers, under one deadline.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "net/deadline.h"
#include "net/http_connection.h"
#include "net/listener.h"
#include "net/stream.h"

namespace ctrlexec {

inline constexpr std::chrono::seconds handshake_timeout{10};
inline constexpr std::chrono::seconds idle_timeout{75};     // until the first byte of the next request
inline constexpr std::chrono::seconds request_timeout{30};  // a whole request, head and body
inline constexpr std::chrono::seconds answer_timeout{60};   // our answer taken by the peer
inline constexpr std::chrono::seconds goodbye_timeout{2};   // the peer's end

class HttpSession;

// The body of an answer that is written piece by piece.
class BodyWriter {
  public:
    BodyWriter(HttpSession& session, bool chunked) : session_(session), chunked_(chunked) {}

    // Within answer_timeout. After an error, as when the peer has gone, nothing more can be written.
    asio::awaitable<Result<void>> write(std::string piece);

    // The server is about to end: an answer that has no end of its own should now.
    bool stopping() const;

  private:
    HttpSession& session_;
    bool chunked_;
};

// An answer as a session sends it.
struct HttpAnswer {
    int status = 200;
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;  // Content-Type is JSON unless given here
    // Writes the body in place of `body`; headers must then name its Content-Type. It runs until the body is
    // whole; with an error, or a BodyWriter's, the connection just ends, so that the peer sees what is
    // missing.
    std::function<asio::awaitable<Result<void>>(std::shared_ptr<BodyWriter>)> stream;
};

// With a JSON body.
HttpAnswer json_answer(int status, const json::Value& body);

class HttpSession final : public Session {
  public:
    // `budget` (may be null) is that of all sessions together. A request over it is Errc::busy; what one
    // takes of it is given back when its answer is ready.
    HttpSession(std::shared_ptr<Listener> listener, std::unique_ptr<Stream> stream, std::string peer_ip,
                HttpLimits limits, std::shared_ptr<RequestBudget> budget = nullptr);
    ~HttpSession() override;

    // Errc::timed_out when the time has passed.
    asio::awaitable<Result<void>> handshake(std::chrono::seconds timeout = handshake_timeout);

    // The next request, with request_timeout; before its first byte idle_timeout holds, for the first request
    // request_timeout. Errc::closed when the peer has ended the connection between requests or the listener
    // is stopping; bad_request "empty request" when it ended without sending anything.
    asio::awaitable<Result<HttpMessage>> read_request();

    // A request that the peer must send now: `timeout` holds for the whole of it, the time before its first
    // byte included. Errc::timed_out leaves the connection open, for an answer that says so.
    asio::awaitable<Result<HttpMessage>> read_due_request(std::chrono::seconds timeout);

    // Sends one answer, with answer_timeout. `without_body`: to a HEAD request.
    asio::awaitable<Result<void>> answer(HttpAnswer answer, bool keep_alive, int minor_version = 0,
                                         bool without_body = false);

    // 102 Processing: the answer takes its time. For peers of ours, since old ones would take it for the
    // answer.
    asio::awaitable<Result<void>> say_processing();

    // Orderly end: ours, then the peer's, with goodbye_timeout (shorter when the listener is stopping). What
    // the peer still sends is thrown away, since closing with unread bytes would reset the connection and the
    // peer could lose our answer.
    asio::awaitable<void> goodbye();

    // The same after an answer to a request that was not read to its end, with goodbye_timeout in any case:
    // then there will be more.
    asio::awaitable<void> goodbye_unread();

    void close() override;

    Stream& stream() { return *stream_; }
    HttpConnection& http() { return http_; }
    const std::string& peer_ip() const { return peer_ip_; }

  private:
    friend class BodyWriter;
    asio::awaitable<Result<void>> answer_stream(HttpAnswer answer, bool keep_alive, int minor_version);
    asio::awaitable<Result<void>> send(std::string head, std::string body);
    Error late_or(Error error, std::string_view doing) const;
    asio::awaitable<void> discard();
    asio::awaitable<void> end(std::chrono::milliseconds timeout);
    std::shared_ptr<Listener> listener_;
    std::string peer_ip_;
    std::unique_ptr<Stream> stream_;
    HttpConnection http_;
    Deadline deadline_;
    bool first_ = true;
};

}  // namespace ctrlexec
