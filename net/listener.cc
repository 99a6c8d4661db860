#include "net/listener.h"

#include <fmt/format.h>

#include <asio/ip/v6_only.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "core/log.h"
#include "core/resident_memory.h"
#include "core/target.h"

namespace ctrlexec {
namespace {

using asio::ip::tcp;

constexpr std::chrono::milliseconds accept_pause{100};
constexpr std::chrono::seconds full_log_pause{1};
constexpr std::size_t max_farewells = 16;
constexpr std::chrono::seconds rest_after{
    5};  // of quiet: after each of several requests it would cost too much

std::error_code open_acceptor(tcp::acceptor& acceptor, const tcp::endpoint& endpoint, bool dual_stack) {
    std::error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && dual_stack) acceptor.set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    return error;
}

// Logging stays out of coroutines: g++ 12 miscompiles initializer lists there.
void log_accept_fail(const std::string& error) {
    log_event(LogLevel::error, "accept-fail", {{"ERROR", error}});
}

}  // namespace

std::string ip_text(const tcp::endpoint& endpoint) {
    const auto address = endpoint.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
        return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
    }
    return address.to_string();
}

Listener::Listener(Runtime& runtime, tcp::acceptor acceptor)
    : runtime_(runtime), acceptor_(std::move(acceptor)), empty_(runtime.io()), resting_(runtime.io()) {}

Result<std::shared_ptr<Listener>> Listener::open(Runtime& runtime, const std::string& bind, int port) {
    const auto port_number = static_cast<std::uint16_t>(port);
    tcp::acceptor acceptor(runtime.io());
    std::error_code error;
    if (bind.empty()) {
        error = open_acceptor(acceptor, tcp::endpoint(tcp::v6(), port_number), true);
        if (error && error != asio::error::address_in_use) {
            acceptor = tcp::acceptor(runtime.io());
            error = open_acceptor(acceptor, tcp::endpoint(tcp::v4(), port_number), false);
        }
    } else {
        const auto address = asio::ip::make_address(bind, error);
        if (error) return fail(Errc::config, fmt::format("cannot listen on '{}': not an IP address", bind));
        error = open_acceptor(acceptor, tcp::endpoint(address, port_number), false);
    }
    if (error) {
        const char* hint = error == asio::error::address_in_use  ? "; another process listens there"
                           : error == asio::error::access_denied ? "; ports below 1024 need privileges"
                                                                 : "";
        return fail(Errc::io,
                    fmt::format("cannot listen on {}: {}{}", host_port(bind.empty() ? "::" : bind, port),
                                error.message(), hint));
    }
    return std::shared_ptr<Listener>(new Listener(runtime, std::move(acceptor)));
}

std::string Listener::address() const {
    std::error_code ignored;
    const auto endpoint = acceptor_.local_endpoint(ignored);
    return host_port(endpoint.address().to_string(), endpoint.port());
}

int Listener::port() const {
    std::error_code ignored;
    return acceptor_.local_endpoint(ignored).port();
}

asio::awaitable<void> Listener::accept_loop(std::size_t max_sessions, Start start, Start farewell) {
    release_idle_memory();  // of the start
    rest();
    while (!stopping_) {
        std::error_code error;
        tcp::socket socket =
            co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
        if (stopping_) co_return;
        if (error == asio::error::connection_aborted) continue;  // the peer was gone before we came
        if (error) {
            // Mostly out of descriptors. Accepting again at once would spin: the connection stays in the
            // backlog.
            log_accept_fail(error.message());
            asio::steady_timer pause(runtime_.io(), accept_pause);
            co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
            continue;
        }

        const bool full = connections_ >= max_sessions;
        if (full) {
            log_full();
            if (!farewell || farewells_ >= max_farewells) continue;  // the socket's destructor closes it
        }
        const auto endpoint = socket.remote_endpoint(error);
        if (error) continue;
        const Count count = full ? &Listener::farewells_ : &Listener::connections_;
        ++(this->*count);
        resting_.cancel();
        runtime_.spawn(run(full ? farewell : start, std::move(socket), ip_text(endpoint), count));
    }
}

// Not each time: whoever causes it could fill the disk that the log is on.
void Listener::log_full() {
    const auto now = std::chrono::steady_clock::now();
    if (now < full_logged_ + full_log_pause) return;
    full_logged_ = now;
    log_accept_fail(fmt::format("{} connections are open, the limit", connections_));
}

asio::awaitable<void> Listener::run(Start start, tcp::socket socket, std::string ip, Count count) {
    co_await start(std::move(socket), std::move(ip));
    --(this->*count);
    if (!is_quiet()) co_return;
    empty_.cancel();
    rest();
}

// A burst of connections leaves memory that nobody needs any more, and a process that waits is mostly
// waiting.
void Listener::rest() {
    resting_.expires_after(rest_after);
    resting_.async_wait([](const std::error_code& interrupted) {
        if (!interrupted) release_idle_memory();
    });
}

void Listener::stop() {
    stopping_ = true;
    std::error_code ignored;
    acceptor_.close(ignored);
    const std::set<Session*> sessions = sessions_;
    for (auto* session : sessions) {
        if (!session->busy) session->close();
    }
}

asio::awaitable<bool> Listener::drain(std::chrono::milliseconds timeout) {
    std::error_code ignored;
    empty_.expires_after(timeout);
    while (!is_quiet() && empty_.expiry() > std::chrono::steady_clock::now()) {
        co_await empty_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    co_return is_quiet();
}

void Listener::close_sessions() {
    const std::set<Session*> sessions = sessions_;
    for (auto* session : sessions) session->close();
}

}  // namespace ctrlexec
