#include "net/agent_client.h"

#include <optional>

#include "core/protocol.h"
#include "net/agent_connection.h"
#include "net/connect.h"

namespace ctrlexec {
namespace {

asio::awaitable<Result<std::vector<asio::ip::tcp::endpoint>>> find_agent(Runtime& runtime,
                                                                         AgentAddress address,
                                                                         std::chrono::milliseconds timeout) {
    const std::string& first = address.by_address ? address.fallback : address.host;
    auto endpoints = co_await resolve(runtime, first, address.port, timeout);
    const bool second_try = !endpoints && !address.by_address && !address.fallback.empty();
    if (second_try) co_return co_await resolve(runtime, address.fallback, address.port, timeout);
    co_return endpoints;
}

asio::awaitable<Result<std::unique_ptr<AgentConnection>>> open_connection(
    Runtime& runtime, std::shared_ptr<TlsContext> tls, std::shared_ptr<const AgentCall> call) {
    const std::chrono::milliseconds timeout = call->connect_timeout;
    AgentAddress address = call->address;
    std::string session = call->session;
    AgentAddress wanted = address;
    CO_TRY(auto endpoints, co_await find_agent(runtime, std::move(wanted), timeout));
    CO_TRY(auto socket, co_await connect(std::move(endpoints), timeout));
    auto connection = std::make_unique<AgentConnection>(std::move(socket), std::move(tls));
    CO_TRY_DO(co_await connection->handshake(std::move(address), std::move(session), timeout));
    co_return std::move(connection);
}

// The request has failed on a kept connection, which may have been dead before it was sent.
bool may_send_again(const AgentCall& call, const AgentConnection& connection, const Error& why) {
    if (connection.agent_took_nothing()) return true;
    return call.repeatable && why.code != Errc::timed_out;
}

asio::awaitable<Result<void>> check_peer(std::shared_ptr<const AgentCall> call, PeerIdentity peer) {
    if (!call->accept) co_return success();
    co_return co_await call->accept(std::move(peer));
}

// A kept connection with whom the call accepts, or null: an agent that was paired again has another key.
asio::awaitable<std::unique_ptr<AgentConnection>> take_kept(std::shared_ptr<const AgentCall> call,
                                                            AgentPool& pool, std::string agent) {
    auto kept = pool.take(agent);
    if (!kept) co_return nullptr;
    PeerIdentity peer = kept->peer();
    const auto accepted = co_await check_peer(call, std::move(peer));
    if (!accepted) kept.reset();
    co_return std::move(kept);
}

}  // namespace

asio::awaitable<Result<HttpMessage>> call_agent(Runtime& runtime, std::shared_ptr<TlsContext> tls,
                                                AgentCall asked, std::shared_ptr<AgentPool> pool) {
    const auto call = std::make_shared<const AgentCall>(std::move(asked));
    const std::string agent = agent_key(call->address);
    const bool keep = pool && pool->is_ours(agent);
    std::unique_ptr<AgentConnection> kept;
    std::optional<Error> unsure;  // of a first request that the agent may have taken
    if (keep) kept = co_await take_kept(call, *pool, agent);
    if (kept) {
        auto answer = co_await kept->exchange(call, keep);
        if (answer) pool->learn(agent, answer->has_header(protocol_header_lower));
        if (answer && kept->reusable()) pool->give(agent, std::move(kept));
        if (answer || !may_send_again(*call, *kept, answer.error())) co_return std::move(answer);
        if (!kept->agent_took_nothing()) unsure = answer.error();
    }
    auto opened = co_await open_connection(runtime, std::move(tls), call);
    // That nobody listens now says nothing about the first request.
    if (!opened && unsure) co_return std::move(*unsure);
    if (!opened) co_return std::move(opened).error();
    auto connection = std::move(*opened);
    PeerIdentity peer = connection->peer();
    if (auto accepted = co_await check_peer(call, std::move(peer)); !accepted) {
        co_await connection->goodbye();
        co_return std::move(accepted).error();
    }
    auto answer = co_await connection->exchange(call, keep);
    if (!answer) co_return std::move(answer).error();
    const bool ours = answer->has_header(protocol_header_lower);
    if (pool) pool->learn(agent, ours);
    if (ours && call->on_session) call->on_session(connection->session());
    if (keep && connection->reusable()) {
        pool->give(agent, std::move(connection));
    } else {
        co_await connection->goodbye();
    }
    co_return std::move(answer);
}

}  // namespace ctrlexec
