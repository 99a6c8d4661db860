// Accepting TCP connections and keeping count of their sessions.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "core/result.h"
#include "net/runtime.h"

namespace ctrlexec {

// One accepted connection as its listener sees it. A session marks itself busy while it works on a request:
// at shutdown idle connections are closed at once, busy ones may finish.
class Session {
  public:
    virtual ~Session() = default;
    virtual void close() = 0;
    bool busy = false;
};

class Listener {
  public:
    // `bind` "" means every address (IPv6 and IPv4 on one socket, IPv4 alone without IPv6), port 0 any free
    // one. The error names address and port, and who may be there already.
    static Result<std::shared_ptr<Listener>> open(Runtime& runtime, const std::string& bind, int port);

    std::string address() const;  // "0.0.0.0:7443"; the real port
    int port() const;
    std::size_t connections() const { return connections_; }

    // Accepts until stop(); `start` runs for each connection in its own coroutine and must do nothing that
    // blocks before its first co_await. Above `max_sessions` a connection is closed at once, but for the few
    // at a time that `farewell`, if there is one, may tell why; it must end them soon.
    using Start = std::function<asio::awaitable<void>(asio::ip::tcp::socket socket, std::string peer_ip)>;
    asio::awaitable<void> accept_loop(std::size_t max_sessions, Start start, Start farewell = {});

    // No new connections; idle sessions are closed.
    void stop();
    // True when all sessions have ended within `timeout`.
    asio::awaitable<bool> drain(std::chrono::milliseconds timeout);
    // What is still open is closed at once.
    void close_sessions();

    void enter(Session* session) { sessions_.insert(session); }
    void leave(Session* session) { sessions_.erase(session); }
    // A session that became idle must ask: no further request when the listener is stopping.
    bool stopping() const { return stopping_; }

  private:
    Listener(Runtime& runtime, asio::ip::tcp::acceptor acceptor);
    using Count = std::size_t Listener::*;
    asio::awaitable<void> run(Start start, asio::ip::tcp::socket socket, std::string ip, Count count);
    bool is_quiet() const { return connections_ == 0 && farewells_ == 0; }
    void log_full();
    void rest();
    Runtime& runtime_;
    asio::ip::tcp::acceptor acceptor_;
    std::set<Session*> sessions_;
    std::size_t connections_ = 0;
    std::size_t farewells_ = 0;
    std::chrono::steady_clock::time_point full_logged_;
    asio::steady_timer empty_;
    asio::steady_timer resting_;  // runs while there is no connection
    bool stopping_ = false;
};

// "10.0.0.1" also for an IPv4 peer on an IPv6 socket.
std::string ip_text(const asio::ip::tcp::endpoint& endpoint);

}  // namespace ctrlexec
