#include "net/http_parser.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "net/http_fields.h"
#include "net/http_framing.h"
#include "net/http_start_line.h"

namespace ctrlexec {
namespace {

constexpr int max_interim_responses = 8;

// A Content-Length costs its sender nothing, so it alone must not make us allocate more than this.
constexpr std::size_t max_reserve = 64 * 1024;

Error too_many_headers(std::string detail) {
    return fail(Errc::too_many_headers, "too many headers", std::move(detail));
}

}  // namespace

HttpParser::HttpParser(Kind kind, HttpLimits limits)
    : kind_(kind), limits_(limits), chunked_(limits.max_line, limits.max_headers, limits.max_body) {}

void HttpParser::start_over() {
    *this = HttpParser(kind_, limits_);
}

Result<std::size_t> HttpParser::feed(std::string_view bytes) {
    if (refused_) return *refused_;
    std::string_view rest = bytes;
    while (!rest.empty() && state_ != State::complete) {
        auto advanced = advance(rest);
        if (!advanced) return refuse(std::move(advanced).error());
    }
    return bytes.size() - rest.size();
}

Result<void> HttpParser::finish() {
    if (refused_) return *refused_;
    if (state_ == State::until_close) state_ = State::complete;
    if (complete()) return success();
    const bool request = kind_ == Kind::request;
    if (!idle()) {
        return refuse(
            fail(Errc::closed, request ? "incomplete request" : "connection closed within the answer"));
    }
    ended_idle_ = true;
    if (request) return refuse(fail(Errc::bad_request, "empty request"));
    return refuse(fail(Errc::closed, "connection closed without an answer"));
}

bool HttpParser::head_complete() const {
    return state_ != State::start_line && state_ != State::fields;
}

bool HttpParser::complete() const {
    return state_ == State::complete;
}

bool HttpParser::idle() const {
    if (ended_idle_) return true;
    return state_ == State::start_line && line_.empty() && interim_responses_ == 0 && !refused_;
}

bool HttpParser::expects_continue() const {
    return kind_ == Kind::request && head_complete() && !complete() && message_.minor_version > 0 &&
           http::equal_ignoring_case(message_.header("expect"), "100-continue");
}

HttpMessage HttpParser::take() {
    assert(complete());
    HttpMessage done = std::move(message_);
    start_over();
    return done;
}

// The units below know no direction and speak of requests: this is where an answer's fault becomes one.
Error HttpParser::refuse(Error error) {
    if (kind_ == Kind::response) {
        if (error.code == Errc::bad_request) error.code = Errc::bad_answer;
        if (error.code == Errc::too_large) error.message = "answer too large";
    }
    refused_ = error;
    return error;
}

// Takes at least one byte, or fails.
Result<void> HttpParser::advance(std::string_view& bytes) {
    switch (state_) {
        case State::start_line:
        case State::fields:
            return read_head_line(bytes);
        case State::length_body:
            read_length_body(bytes);
            pass_on_body();
            return success();
        case State::chunked_body:
            TRY_DO(chunked_.feed(bytes, message_.body));
            if (chunked_.complete()) state_ = State::complete;
            pass_on_body();
            return success();
        case State::until_close:
            TRY_DO(read_until_close(bytes));
            pass_on_body();
            return success();
        case State::complete:
            break;
    }
    return success();
}

Result<void> HttpParser::read_head_line(std::string_view& bytes) {
    const auto got = line_.read(bytes, limits_.max_line);
    if (got == http::LineReader::Got::more) return success();
    if (got == http::LineReader::Got::too_long) {
        return too_many_headers("a line is over " + std::to_string(limits_.max_line) + " bytes");
    }
    const std::string_view line = line_.text();
    head_bytes_ += line.size();
    if (state_ == State::start_line) {
        TRY_DO(on_start_line(line));
    } else if (line.empty()) {
        TRY_DO(on_head_end());
    } else {
        TRY_DO(on_field(line));
    }
    line_.clear();
    return success();
}

Result<void> HttpParser::on_start_line(std::string_view line) {
    if (kind_ == Kind::response) {
        TRY_DO(http::parse_status_line(line, message_));
    } else if (line.empty() && !blank_line_skipped_) {
        blank_line_skipped_ = true;  // old clients send one after a POST (RFC 9112 section 2.2)
        return success();
    } else {
        TRY_DO(http::parse_request_line(line, message_));
    }
    state_ = State::fields;
    return success();
}

Result<void> HttpParser::on_field(std::string_view line) {
    if (message_.headers.size() >= limits_.max_headers) {
        return too_many_headers("over " + std::to_string(limits_.max_headers) + " header lines");
    }
    TRY(auto field, http::parse_field(line));
    message_.headers.push_back(std::move(field));
    return success();
}

Result<void> HttpParser::on_head_end() {
    TRY(const http::Framing framing, http::framing_of(message_));
    message_.keep_alive = http::wants_keep_alive(message_);
    if (kind_ == Kind::request) {
        if (http::count_headers(message_, "host") > 1) return fail(Errc::bad_request, "repeated Host");
        return begin_body(framing.chunked, framing.length);
    }
    const int status = message_.status;
    streams_ = sink_ && status >= 200 && status < 300 && message_.header("content-type") == streamed_type_;
    if ((status < 200 || status == 204) && (framing.chunked || framing.length.value_or(0) > 0)) {
        return fail(Errc::bad_request, "a body announced by a status that has none");
    }
    if (status < 200) return skip_interim();
    if (status == 204 || status == 304) {
        state_ = State::complete;
        return success();
    }
    if (framing.chunked || framing.length) return begin_body(framing.chunked, framing.length);
    message_.keep_alive = false;
    state_ = State::until_close;
    return success();
}

Result<void> HttpParser::skip_interim() {
    // We never ask for another protocol, and could not parse what would follow.
    if (message_.status == 101) return fail(Errc::bad_request, "unasked 101 Switching Protocols");
    if (++interim_responses_ > max_interim_responses)
        return fail(Errc::bad_request, "too many interim answers");
    if (message_.status == 102) processing_ = true;
    message_ = HttpMessage{};
    state_ = State::start_line;
    return success();
}

void HttpParser::stream_body(std::string_view content_type, std::function<void(std::string_view)> sink) {
    streamed_type_ = content_type;
    sink_ = std::move(sink);
}

void HttpParser::pass_on_body() {
    if (!streams_ || message_.body.empty()) return;
    sink_(message_.body);
    message_.body.clear();
}

Result<void> HttpParser::begin_body(bool chunked, std::optional<std::size_t> length) {
    if (chunked) {
        state_ = State::chunked_body;
        return success();
    }
    body_left_ = length.value_or(0);
    if (body_left_ > limits_.max_body) return fail(Errc::too_large, "request too large");
    message_.body.reserve(std::min(body_left_, max_reserve));
    state_ = body_left_ == 0 ? State::complete : State::length_body;
    return success();
}

void HttpParser::read_length_body(std::string_view& bytes) {
    const std::size_t count = std::min(body_left_, bytes.size());
    message_.body.append(bytes.substr(0, count));
    bytes.remove_prefix(count);
    body_left_ -= count;
    if (body_left_ == 0) state_ = State::complete;
}

Result<void> HttpParser::read_until_close(std::string_view& bytes) {
    if (bytes.size() > limits_.max_body - message_.body.size()) {
        return fail(Errc::too_large, "request too large");
    }
    message_.body.append(bytes);
    bytes = {};
    return success();
}

}  // namespace ctrlexec
