// The pairing port: takes requests, queues them, holds each connection until the operator has answered.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "core/dispatcher_config.h"
#include "core/file.h"
#include "net/listener.h"
#include "net/pairing_port.h"
#include "net/runtime.h"

namespace ctrlexec {

class PairingListener : public std::enable_shared_from_this<PairingListener> {
  public:
    // Errc::locked when another listener serves this queue, which this one does as long as it exists.
    // Requests left by one that crashed are dropped: their agents' connections are gone. `process`: what a
    // pairing-mode says that finds the queue served.
    static Result<std::shared_ptr<PairingListener>> create(Runtime& runtime, const DispatcherConfig& config,
                                                           PairingEvents events,
                                                           std::string_view process = "the API process");
    std::string address() const { return listener_->address(); }

    // Until stop(), once. Waiting agents then see their connection close.
    asio::awaitable<void> run();
    void stop();

    // The files of the dispatcher's certificate have changed. Connections that are open keep what they began
    // with; when the files are unusable all do, and it is logged.
    void take_identity_of_now();

  private:
    PairingListener(Runtime& runtime, const DispatcherConfig& config, PairingEvents events, FileLock lock);
    asio::awaitable<void> session(asio::ip::tcp::socket socket, std::string peer_ip);

    Runtime& runtime_;
    asio::steady_timer quit_;
    bool stopping_ = false;
    FileLock lock_;
    std::shared_ptr<PairingPort> port_;
    std::shared_ptr<Listener> listener_;
};

}  // namespace ctrlexec
