// The pairing port as a part of another process, the HTTP API: while the configuration wants it
// (`pairing = on`), or while a join token may be brought (`pairing = tokens`).
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "core/dispatcher_config.h"
#include "net/pairing_listener.h"
#include "net/runtime.h"

namespace ctrlexec {

class PairingHost : public std::enable_shared_from_this<PairingHost> {
  public:
    // `config`: of now, asked for again and again.
    static std::shared_ptr<PairingHost> create(Runtime& runtime, std::function<DispatcherConfig()> config,
                                               PairingEvents events);

    // Until stop(), whose pairing agents see their connections close. What stands in the way, a port in use
    // or a pairing-mode that serves the queue, ends nothing: it is tried again every two seconds.
    asio::awaitable<void> run();
    void stop();
    // Until run() has ended, or the time is over.
    asio::awaitable<void> wait_for_end(std::chrono::milliseconds timeout);

    // The configuration is another. Who is connected is cut off only when the port has to change.
    void take_settings_of_now() { wake_.cancel(); }
    void take_identity_of_now();

  private:
    PairingHost(Runtime& runtime, std::function<DispatcherConfig()> config, PairingEvents events);
    asio::awaitable<bool> is_wanted(DispatcherConfig config);
    asio::awaitable<void> serve(std::shared_ptr<PairingListener> listener);
    void begin(const DispatcherConfig& config);
    void end();

    Runtime& runtime_;
    std::function<DispatcherConfig()> config_;
    PairingEvents events_;
    asio::steady_timer wake_;
    asio::steady_timer ended_;
    std::shared_ptr<PairingListener> listener_;  // that serves; null between two
    bool closing_ = false;                       // it was told to end, and has not yet
    bool stopping_ = false;
    bool running_ = false;
    std::string settings_;   // that listener_ began with
    std::string complaint_;  // logged once, until it is another
};

}  // namespace ctrlexec
