// One agent's conversation with the pairing port. docs/pairing-protocol.md
#pragma once

#include <asio/awaitable.hpp>
#include <memory>
#include <string>

#include "core/pairing_queue.h"
#include "core/result.h"
#include "net/http_session.h"
#include "net/pairing_port.h"

namespace ctrlexec {

class PairingSession {
  public:
    PairingSession(std::shared_ptr<PairingPort> port, std::shared_ptr<HttpSession> session)
        : port_(std::move(port)), session_(std::move(session)), config_(port_->config), face_(port_->face) {}

    // From the handshake to the goodbye.
    asio::awaitable<void> run();

  private:
    asio::awaitable<void> go_on();
    asio::awaitable<Result<void>> read_request();
    asio::awaitable<Result<void>> admit();
    asio::awaitable<Result<void>> check_token();
    asio::awaitable<Result<void>> enqueue();
    asio::awaitable<void> refuse(Error why);
    asio::awaitable<bool> say_pending();
    asio::awaitable<bool> await_reveal();
    asio::awaitable<bool> show();
    asio::awaitable<void> join();
    asio::awaitable<void> end_unrevealed(std::string_view result, std::string reason);
    asio::awaitable<void> await_operator(bool there);
    asio::awaitable<std::string> await_decision(std::shared_ptr<HeldRequest> wait);
    asio::awaitable<Result<json::Value>> settle(std::string reason_without_answer);

    std::shared_ptr<PairingPort> port_;
    std::shared_ptr<HttpSession> session_;
    std::shared_ptr<const DispatcherConfig> config_;
    std::shared_ptr<const PairingFace> face_;
    PairingRequest request_;
    std::string nonce_;            // ours, raw
    std::shared_ptr<void> place_;  // in the queue; who breaks off has another one held for him before it goes
};

}  // namespace ctrlexec
