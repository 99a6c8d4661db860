// The pairing port as a process of its own: what is around the listener.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/signal_set.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/dispatcher_config.h"
#include "net/pairing_listener.h"
#include "net/runtime.h"

namespace ctrlexec {

class PairingMode {
  public:
    // Errors as of PairingListener::create.
    static Result<std::unique_ptr<PairingMode>> create(Runtime& runtime, const DispatcherConfig& config,
                                                       PairingEvents events);
    std::string address() const { return listener_->address(); }

    // Until SIGTERM, SIGINT or stop(). Meanwhile certificates are renewed as by the API.
    asio::awaitable<int> serve();
    void stop() { listener_->stop(); }

  private:
    PairingMode(Runtime& runtime, const DispatcherConfig& config);

    Runtime& runtime_;
    asio::signal_set quit_;  // from the start: a signal right after the readiness line must not kill us
    DispatcherConfig config_;
    std::vector<std::int64_t> stamp_;  // of the identity that was read at the start
    std::shared_ptr<PairingListener> listener_;
};

}  // namespace ctrlexec
