#include "net/agent_connection.h"

#include <fmt/format.h>

#include "core/digest.h"
#include "core/protocol.h"
#include "core/target.h"
#include "net/http_connection.h"

namespace ctrlexec {
namespace {

constexpr HttpLimits answer_limits{8192, 64, 256u << 20};
constexpr std::chrono::milliseconds goodbye_timeout{500};
constexpr std::size_t old_agent_body_bytes = 16 * 1024;  // it reads one TLS record

// After the handshake an old agent just closes when it does not want to answer.
Error closed_without_answer(const AgentCall& call) {
    const bool large = call.body.size() > old_agent_body_bytes;
    return fail(Errc::closed,
                fmt::format("{} closed the connection without an answer; an old agent does so when it has "
                            "rate-limited us, when the script ended without reading its input, {}or when "
                            "its output is not valid UTF-8",
                            host_port(call.address.host, call.address.port),
                            large ? "when the request is over 16 KiB as this one is, " : ""));
}

// Only an agent of ours is sent a second request.
Error broken_before_answer(const AgentCall& call) {
    return fail(Errc::closed,
                fmt::format("{} closed the connection before it answered; it may have been stopped, and the "
                            "request may have been carried out",
                            host_port(call.address.host, call.address.port)));
}

// It had said that it was at work.
Error broken_while_running(const std::string& host) {
    return fail(Errc::closed,
                fmt::format("{} closed the connection while the script ran; it may have been stopped, and "
                            "whether the script has ended is not known",
                            host));
}

Error stopped_waiting(const AgentCall& call, const std::string& host) {
    return fail(Errc::still_running, fmt::format("no result from {} within {} s; the script goes on there",
                                                 host, call.read_timeout.count() / 1000));
}

// Not in the coroutine: g++ 12 miscompiles initializer lists there.
std::string call_head(const AgentCall& call, const std::string& host, bool keep) {
    auto headers = call.headers;
    headers.emplace_back("Connection", keep ? "keep-alive" : "close");
    headers.emplace_back(protocol_header, protocol_generation);
    return request_head(call.method, call.target, host, 1, !call.body.empty(), call.body.size(), headers);
}

// The pieces of a streamed answer as lines.
class Lines {
  public:
    explicit Lines(const AgentCall& call) : call_(call) {}

    void add(std::string_view piece) {
        for (auto end = piece.find('\n'); end != std::string_view::npos; end = piece.find('\n')) {
            if (partial_.empty()) {
                call_.on_line(piece.substr(0, end));
            } else {
                call_.on_line(partial_.append(piece.substr(0, end)));
                partial_.clear();
            }
            piece.remove_prefix(end + 1);
        }
        too_long_ = too_long_ || partial_.size() + piece.size() > answer_limits.max_body;
        if (!too_long_) partial_.append(piece);
    }
    bool too_long() const { return too_long_; }

  private:
    const AgentCall& call_;
    std::string partial_;
    bool too_long_ = false;
};

PeerIdentity identity_of(const Certificate& certificate) {
    PeerIdentity peer;
    peer.key = key_fingerprint(certificate.spki_der());
    peer.serial = certificate.serial();
    peer.common_name = certificate.common_name();
    peer.not_after = certificate.not_after();
    return peer;
}

}  // namespace

AgentConnection::AgentConnection(asio::ip::tcp::socket socket, std::shared_ptr<TlsContext> tls)
    : stream_(std::move(socket), std::move(tls)),
      deadline_(stream_.socket().get_executor(), [this] { stream_.close(); }),
      opened_(std::chrono::steady_clock::now()) {}

asio::awaitable<Result<void>> AgentConnection::handshake(AgentAddress address, std::string session,
                                                         std::chrono::milliseconds timeout) {
    const std::string where = host_port(address.host, address.port);
    deadline_.arm(timeout);
    const auto shaken = co_await stream_.handshake_client(address.host, std::move(session));
    deadline_.disarm();
    if (shaken) {
        if (const auto certificate = stream_.peer_certificate()) peer_ = identity_of(*certificate);
        co_return success();
    }
    if (deadline_.expired()) {
        co_return fail(Errc::timed_out, fmt::format("timed out: no TLS handshake with {} within {} s", where,
                                                    timeout.count() / 1000));
    }
    co_return fail(Errc::tls_failed, fmt::format("TLS with {} failed: {}", where, shaken.error().text()));
}

asio::awaitable<Result<HttpMessage>> AgentConnection::exchange(std::shared_ptr<const AgentCall> call,
                                                               bool keep) {
    const std::string host = host_port(call->address.host, call->address.port);
    std::string head = call_head(*call, host, keep);
    std::string body = call->body;
    HttpConnection http(stream_, HttpParser::Kind::response, answer_limits);
    Lines lines(*call);
    if (call->on_line) {
        std::function<void(std::string_view)> sink = [&](std::string_view piece) {
            lines.add(piece);
            const bool over = call->unwanted && call->unwanted();
            deadline_.arm(over ? std::chrono::milliseconds(0) : call->read_timeout);
        };
        http.stream_body("application/x-ndjson", std::move(sink));
    }
    turn_.emplace(call->gate);
    // What is streamed is not kept.
    if (!call->on_line) {
        http.admit_large(AnswerGate::free_for_each, [&](std::size_t bytes) -> asio::awaitable<void> {
            deadline_.disarm();  // it is us who hold it up
            co_await turn_->enter(bytes);
            deadline_.arm(call->read_timeout);
        });
    }
    keep_ = false;
    deadline_.arm(call->read_timeout);
    // A write that fails is not the end: the agent may have answered before it closed (413, 403).
    const auto written = co_await http.write(std::move(head), std::move(body));
    auto answer = co_await http.read();
    deadline_.disarm();
    if (lines.too_long()) co_return fail(Errc::bad_answer, "a line of the agent's answer is too long");
    if (answer) {
        used_ = true;
        keep_ = keep && answer->keep_alive && answer->has_header(protocol_header_lower) && http.drained();
        if (keep_) turn_.reset();
        co_return std::move(answer);
    }
    if (deadline_.expired()) {
        if (http.processing()) co_return stopped_waiting(*call, host);
        co_return fail(Errc::timed_out, fmt::format("timed out: no answer from {} within {} s", host,
                                                    call->read_timeout.count() / 1000));
    }
    if (!written && written.error().code == Errc::tls_failed) co_return written.error();
    if (http.processing() && answer.error().code == Errc::closed) co_return broken_while_running(host);
    unanswered_ = answer.error().code == Errc::closed && http.idle();
    if (unanswered_) co_return used_ ? broken_before_answer(*call) : closed_without_answer(*call);
    co_return std::move(answer).error();
}

bool AgentConnection::agent_took_nothing() const {
    return used_ && unanswered_ && stream_.peer_said_goodbye();
}

bool AgentConnection::reusable() {
    return keep_ && stream_.quiet();
}

asio::awaitable<void> AgentConnection::goodbye() {
    deadline_.arm(goodbye_timeout);
    (void)co_await stream_.shutdown();
    stream_.close();
    deadline_.disarm();
}

}  // namespace ctrlexec
