// A strict incremental HTTP/1.x parser (RFC 9112) with limits. It knows no socket: bytes in, message out. How
// the bytes are cut up never changes the outcome. Lines of a head may end with LF alone, as old peers do; a
// bare CR, obs-fold, repeated Host or Content-Length and every other ambiguity is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "net/http_chunked.h"
#include "net/http_line.h"
#include "net/http_message.h"

namespace ctrlexec {

struct HttpLimits {
    std::size_t max_line = 8192;   // request line, status line or one header line, without the line end
    std::size_t max_headers = 32;  // the 33rd is Errc::too_many_headers, and so is a line over max_line
    std::size_t max_body =
        1u << 20;  // over it is Errc::too_large, from Content-Length before the body is read
};

class HttpParser {
  public:
    // What is malformed is Errc::bad_request in a request and Errc::bad_answer in a response. Responses to
    // HEAD cannot be parsed: they announce a body that never comes.
    enum class Kind { request, response };
    HttpParser(Kind kind, HttpLimits limits);

    // Takes the bytes that belong to the current message and returns how many those were: less than all of
    // them only when the message is complete (what follows is pipelined or stray). An error is final: the
    // connection is of no use any more. Interim (1xx) responses are skipped.
    Result<std::size_t> feed(std::string_view bytes);

    // The peer closed. Succeeds when the message is complete or a response body ends with the connection (the
    // caller must know that close from a truncation: TLS close_notify); otherwise Errc::closed.
    // Errc::bad_request "empty request" when no request at all had arrived.
    Result<void> finish();

    bool head_complete() const;
    bool complete() const;
    bool idle() const;              // not a byte of this message has arrived; a blank line before it is none
    bool expects_continue() const;  // the head asked for 100-continue and the body is not complete
    bool processing() const { return processing_; }  // 102 (RFC 2518 section 10.1) has come for this message

    // The body of a 2xx answer of that Content-Type goes to `sink` as it arrives, and is not kept: its whole
    // length has no limit, but each of its chunks has. For the next message only.
    void stream_body(std::string_view content_type, std::function<void(std::string_view)> sink);

    const HttpMessage& message() const { return message_; }
    // The memory that the message takes so far, what its body reserves included.
    std::size_t memory() const { return head_bytes_ + message_.body.capacity(); }
    // Of the body, as far as that is known: what has arrived, and what Content-Length says is to come.
    std::size_t expected_body() const { return message_.body.size() + body_left_; }
    HttpMessage take();  // the complete message; the parser starts over

  private:
    enum class State : std::uint8_t { start_line, fields, length_body, chunked_body, until_close, complete };

    void start_over();
    Result<void> advance(std::string_view& bytes);
    Result<void> read_head_line(std::string_view& bytes);
    Result<void> on_start_line(std::string_view line);
    Result<void> on_field(std::string_view line);
    Result<void> on_head_end();
    Result<void> skip_interim();
    Result<void> begin_body(bool chunked, std::optional<std::size_t> length);
    Result<void> read_until_close(std::string_view& bytes);
    void read_length_body(std::string_view& bytes);
    void pass_on_body();
    Error refuse(Error error);

    Kind kind_;
    HttpLimits limits_;
    State state_ = State::start_line;
    bool blank_line_skipped_ = false;
    int interim_responses_ = 0;
    bool processing_ = false;
    std::string streamed_type_;
    std::function<void(std::string_view)> sink_;
    bool streams_ = false;        // the current body goes to sink_
    std::size_t head_bytes_ = 0;  // of the lines taken so far
    std::size_t body_left_ = 0;   // in State::length_body, where it is never 0
    http::LineReader line_;
    http::ChunkedDecoder chunked_;
    std::optional<Error> refused_;
    bool ended_idle_ = false;  // finish() found nothing: the refusal must not hide that
    HttpMessage message_;
};

}  // namespace ctrlexec
