// A terminal at a pairing queue that another process serves: shows what waits there, and what becomes of it.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/dispatcher_config.h"
#include "core/pairing_queue.h"
#include "net/pairing_port.h"
#include "net/queue_watch.h"
#include "net/runtime.h"

namespace ctrlexec {

class PairingFrontEnd {
  public:
    PairingFrontEnd(Runtime& runtime, const DispatcherConfig& config, PairingEvents events);

    // Until SIGTERM, SIGINT or stop(): success. Errc::not_found when nobody serves the queue any more.
    asio::awaitable<Result<void>> run();
    void stop();

  private:
    asio::awaitable<Result<void>> look();
    void show(const std::vector<PairingRequest>& waiting);

    Runtime& runtime_;
    asio::signal_set quit_;
    asio::steady_timer wake_;
    bool stopping_ = false;
    bool changed_ = false;  // since the last look began
    PairingQueue queue_;
    std::string agents_dir_;
    PairingEvents events_;
    std::map<std::string, PairingRequest> known_;  // by id
};

}  // namespace ctrlexec
