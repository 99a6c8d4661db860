// The HTTP API: JSON over HTTP/1.1, plain or with TLS.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/signal_set.hpp>
#include <memory>
#include <string>
#include <vector>

#include "net/api_call.h"
#include "net/api_snapshot.h"
#include "net/hosted_pairing.h"
#include "net/listener.h"
#include "net/request_budget.h"
#include "net/runtime.h"

namespace ctrlexec {

class ApiServer {
  public:
    // Loads everything and opens the port.
    static Result<std::unique_ptr<ApiServer>> create(Runtime& runtime, std::string config_path);

    std::string address() const { return listener_->address(); }
    const ApiSnapshot& snapshot() const { return *snapshot_; }

    // Serves until SIGTERM or SIGINT, then drains: /readyz says 503, dispatches under way get shutdown_grace.
    // 0 when all of them were answered, else 1. SIGHUP reloads configuration and certificate.
    asio::awaitable<int> serve();

  private:
    ApiServer(Runtime& runtime, std::string config_path);
    asio::awaitable<void> session(asio::ip::tcp::socket socket, std::string peer_ip);
    asio::awaitable<void> purge_loop();
    // Of a connection above api_max_connections: 503, whatever it asks.
    asio::awaitable<void> farewell(asio::ip::tcp::socket socket, std::string peer_ip);
    void reload();
    void take_identity_of_now();
    PairingEvents pairing_events();

    Runtime& runtime_;
    asio::signal_set quit_;  // from the start: a signal right after the readiness line must not kill us
    asio::signal_set hangup_;
    std::string config_path_;
    std::vector<std::int64_t> stamp_;  // of the identity that was read at the start
    std::shared_ptr<const ApiSnapshot> snapshot_;
    std::shared_ptr<ApiState> state_;
    std::shared_ptr<Listener> listener_;
    std::shared_ptr<RequestBudget> budget_;
    std::shared_ptr<PairingHost> pairing_;
};

}  // namespace ctrlexec
