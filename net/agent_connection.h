// One TLS connection to an agent, for one request after the other.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "core/result.h"
#include "net/agent_call.h"
#include "net/deadline.h"
#include "net/http_message.h"
#include "net/tls_context.h"
#include "net/tls_stream.h"

namespace ctrlexec {

class AgentConnection {
  public:
    AgentConnection(asio::ip::tcp::socket socket, std::shared_ptr<TlsContext> tls);
    AgentConnection(const AgentConnection&) = delete;
    AgentConnection& operator=(const AgentConnection&) = delete;

    // Errc::timed_out or tls_failed; `address` names the agent in the message and in SNI. `session`: see
    // TlsStream.
    asio::awaitable<Result<void>> handshake(AgentAddress address, std::string session,
                                            std::chrono::milliseconds timeout);

    const PeerIdentity& peer() const { return peer_; }  // after the handshake

    // The answer, whatever its status. `keep` asks the agent not to close afterwards.
    asio::awaitable<Result<HttpMessage>> exchange(std::shared_ptr<const AgentCall> call, bool keep);

    // After a failed exchange: the agent has certainly not taken the request. An agent of ours says goodbye
    // only between requests, so a close_notify instead of an answer proves it; a connection that just breaks
    // proves nothing.
    bool agent_took_nothing() const;

    // After an answer: both sides are ready for another request. Asked again just before it is sent, since
    // the agent may have gone away meanwhile.
    bool reusable();

    // For a later connection, after an answer.
    std::string session() const { return stream_.session(); }

    // Orderly end, within half a second.
    asio::awaitable<void> goodbye();

    std::chrono::steady_clock::time_point opened() const { return opened_; }

  private:
    TlsStream stream_;
    Deadline deadline_;
    std::optional<AnswerGate::Turn>
        turn_;  // kept until the connection is of no more use, or the answer taken
    PeerIdentity peer_;
    std::chrono::steady_clock::time_point opened_;
    bool used_ = false;        // an answer has come
    bool keep_ = false;        // and it left the connection open
    bool unanswered_ = false;  // the peer ended the connection where the answer should have begun
};

}  // namespace ctrlexec
