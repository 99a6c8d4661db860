#include "net/agent_client.h"

#include <fmt/format.h>

#include "core/protocol.h"
#include "core/target.h"
#include "net/connect.h"
#include "net/deadline.h"
#include "net/http_connection.h"
#include "net/tls_stream.h"

namespace ctrlexec {
namespace {

constexpr HttpLimits answer_limits{8192, 64, 256u << 20};
constexpr std::chrono::milliseconds goodbye_timeout{500};
constexpr std::size_t old_agent_body_bytes = 16 * 1024;  // it reads one TLS record

asio::awaitable<Result<std::vector<asio::ip::tcp::endpoint>>> find_agent(Runtime& runtime,
                                                                         AgentAddress address,
                                                                         std::chrono::milliseconds timeout) {
    const std::string& first = address.by_address ? address.fallback : address.host;
    auto endpoints = co_await resolve(runtime, first, address.port, timeout);
    const bool second_try = !endpoints && !address.by_address && !address.fallback.empty();
    if (second_try) co_return co_await resolve(runtime, address.fallback, address.port, timeout);
    co_return endpoints;
}

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

// Not in the coroutine: g++ 12 miscompiles initializer lists there.
std::string call_head(const AgentCall& call, const std::string& host) {
    return request_head(call.method, call.target, host, 1, !call.body.empty(), call.body.size(),
                        {{"Connection", "close"}, {protocol_header, protocol_generation}});
}

asio::awaitable<Result<HttpMessage>> exchange(TlsStream* stream, Deadline* deadline, AgentCall call) {
    const std::string host = host_port(call.address.host, call.address.port);
    std::string head = call_head(call, host);
    std::string body = call.body;
    HttpConnection http(*stream, HttpParser::Kind::response, answer_limits);
    deadline->arm(call.read_timeout);
    // A write that fails is not the end: the agent may have answered before it closed (413, 403).
    const auto written = co_await http.write(std::move(head), std::move(body));
    auto answer = co_await http.read();
    deadline->disarm();
    if (answer) co_return std::move(answer);
    if (deadline->expired()) {
        co_return fail(Errc::timed_out, fmt::format("timed out: no answer from {} within {} s", host,
                                                    call.read_timeout.count() / 1000));
    }
    if (!written && written.error().code == Errc::tls_failed) co_return written.error();
    if (answer.error().code == Errc::closed && http.idle()) co_return closed_without_answer(call);
    co_return std::move(answer).error();
}

}  // namespace

asio::awaitable<Result<HttpMessage>> call_agent(Runtime& runtime, std::shared_ptr<TlsContext> tls,
                                                AgentCall call) {
    AgentAddress address = call.address;
    CO_TRY(auto endpoints, co_await find_agent(runtime, std::move(address), call.connect_timeout));
    CO_TRY(auto socket, co_await connect(std::move(endpoints), call.connect_timeout));
    const std::string where = host_port(call.address.host, call.address.port);
    TlsStream stream(std::move(socket), std::move(tls));
    Deadline deadline(runtime.io().get_executor(), [&stream] { stream.close(); });
    deadline.arm(call.connect_timeout);
    const auto shaken = co_await stream.handshake_client(call.address.host);
    deadline.disarm();
    if (!shaken && deadline.expired()) {
        co_return fail(Errc::timed_out, fmt::format("timed out: no TLS handshake with {} within {} s", where,
                                                    call.connect_timeout.count() / 1000));
    }
    if (!shaken) {
        co_return fail(Errc::tls_failed, fmt::format("TLS with {} failed: {}", where, shaken.error().text()));
    }
    auto answer = co_await exchange(&stream, &deadline, std::move(call));
    if (!answer) co_return std::move(answer).error();
    deadline.arm(goodbye_timeout);
    (void)co_await stream.shutdown();
    stream.close();
    co_return std::move(answer);
}

}  // namespace ctrlexec
