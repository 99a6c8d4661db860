// The pairing port: takes requests, queues them, holds each connection until the operator has answered.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/signal_set.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/dispatcher_config.h"
#include "core/file.h"
#include "core/pairing_queue.h"
#include "net/http_session.h"
#include "net/listener.h"
#include "net/runtime.h"
#include "net/tls_context.h"

namespace ctrlexec {

// What a front end shows. Both may be empty.
struct PairingEvents {
    std::function<void(const PairingRequest&)> requested;
    std::function<void(const PairingRequest&, const std::string& outcome)>
        ended;  // "approved", "denied", "gone", …
};

class PairingListener {
  public:
    // Errc::locked when another listener serves this queue. Requests left by one that crashed are dropped:
    // their agents' connections are gone.
    static Result<std::unique_ptr<PairingListener>> create(Runtime& runtime, const DispatcherConfig& config,
                                                           PairingEvents events);
    std::string address() const { return listener_->address(); }

    // Until SIGTERM, SIGINT or stop(). Waiting agents then see their connection close.
    asio::awaitable<int> serve();
    void stop() { quit_.cancel(); }

  private:
    struct Wait;  // one request that waits
    PairingListener(Runtime& runtime, const DispatcherConfig& config, PairingEvents events, FileLock lock);
    asio::awaitable<void> session(asio::ip::tcp::socket socket, std::string peer_ip);
    asio::awaitable<Result<PairingRequest>> accept_request(std::shared_ptr<HttpSession> session);
    asio::awaitable<void> await_operator(std::shared_ptr<HttpSession> session, PairingRequest request);
    asio::awaitable<std::string> await_decision(std::shared_ptr<Wait> wait, std::string id);
    asio::awaitable<void> watch_queue();
    Result<void> load_tls();

    asio::awaitable<Result<json::Value>> settle(std::string id, std::string reason_without_answer);

    Runtime& runtime_;
    asio::signal_set quit_;  // from the start: a signal right after the readiness line must not kill us
    DispatcherConfig config_;
    PairingQueue queue_;
    PairingEvents events_;
    FileLock lock_;
    std::vector<std::int64_t> stamp_;  // of the identity that was read at the start
    std::shared_ptr<TlsContext> tls_;
    std::shared_ptr<Listener> listener_;
    std::map<std::string, std::shared_ptr<Wait>> waiting_;
};

}  // namespace ctrlexec
