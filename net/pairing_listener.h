// The pairing port: takes requests, queues them, holds each connection until the operator has answered.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/dispatcher_config.h"
#include "core/file.h"
#include "core/pairing_queue.h"
#include "net/http_session.h"
#include "net/listener.h"
#include "net/queue_watch.h"
#include "net/runtime.h"
#include "net/tls_context.h"

namespace ctrlexec {

// What a front end shows. Both may be empty.
struct PairingEvents {
    std::function<void(const PairingRequest&)> requested;
    std::function<void(const PairingRequest&, const std::string& outcome)>
        ended;  // "approved", "denied", "gone", …
};

class PairingListener : public std::enable_shared_from_this<PairingListener> {
  public:
    // Errc::locked when another listener serves this queue, which this one does as long as it exists.
    // Requests left by one that crashed are dropped: their agents' connections are gone.
    static Result<std::shared_ptr<PairingListener>> create(Runtime& runtime, const DispatcherConfig& config,
                                                           PairingEvents events);
    std::string address() const { return listener_->address(); }

    // Until stop(), once. Waiting agents then see their connection close.
    asio::awaitable<void> run();
    void stop();

    // The files of the dispatcher's certificate have changed. Connections that are open keep what they began
    // with; when the files are unusable all do, and it is logged.
    void take_identity_of_now();

  private:
    struct Wait;  // one request that waits
    PairingListener(Runtime& runtime, const DispatcherConfig& config, PairingEvents events, FileLock lock);
    asio::awaitable<void> session(asio::ip::tcp::socket socket, std::string peer_ip);
    asio::awaitable<Result<PairingRequest>> accept_request(std::shared_ptr<HttpSession> session);
    asio::awaitable<void> await_operator(std::shared_ptr<HttpSession> session, PairingRequest request);
    asio::awaitable<std::string> await_decision(std::shared_ptr<Wait> wait, std::string id);
    asio::awaitable<Result<json::Value>> settle(std::string id, std::string reason_without_answer);
    Result<void> load_tls();
    void wake_all();

    Runtime& runtime_;
    asio::steady_timer quit_;
    bool stopping_ = false;
    DispatcherConfig config_;
    PairingQueue queue_;
    PairingEvents events_;
    FileLock lock_;
    std::shared_ptr<TlsContext> tls_;
    std::shared_ptr<Listener> listener_;
    std::map<std::string, std::shared_ptr<Wait>> waiting_;
};

}  // namespace ctrlexec
