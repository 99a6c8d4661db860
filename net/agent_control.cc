#include "net/agent_control.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <asio/read_until.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include "core/digest.h"
#include "core/file.h"
#include "core/utf8.h"
#include "net/deadline.h"

namespace ctrlexec {
namespace {

using Protocol = asio::local::stream_protocol;

constexpr std::chrono::seconds exchange_timeout{5};
constexpr std::chrono::seconds order_timeout{15};  // some may be served before us
constexpr std::size_t max_line = 4096;
constexpr std::string_view done = "ok";

std::string word(AgentOrder order) {
    return order == AgentOrder::reload ? "reload" : "ping";
}

// A digest, since a path may be longer than a socket's name.
Protocol::endpoint endpoint_of(const std::string& config_path) {
    using namespace std::string_literals;
    return Protocol::endpoint("\0ctrl-exec-agent/"s +
                              to_hex(sha256(resolve_path(config_path).value_or(config_path))));
}

bool is_root_or_us(Protocol::socket& socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    return peer.uid == 0 || peer.uid == ::geteuid();
}

asio::awaitable<Result<std::string>> read_line(Protocol::socket* socket) {
    std::string line;
    std::error_code error;
    const std::size_t size =
        co_await asio::async_read_until(*socket, asio::dynamic_buffer(line, max_line), '\n',
                                        asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return fail(Errc::closed, "no answer on the control socket: " + error.message());
    line.resize(size - 1);
    co_return line;
}

asio::awaitable<bool> write_line(Protocol::socket* socket, std::string line) {
    line += '\n';
    std::error_code error;
    co_await asio::async_write(*socket, asio::buffer(line), asio::redirect_error(asio::use_awaitable, error));
    co_return !error;
}

std::string reply_to(std::string_view order, const AgentControl::Reload& reload) {
    if (order == "ping") return std::string(done);
    if (order != "reload") return "unknown order";
    const auto reloaded = reload();
    return reloaded ? std::string(done) : printable(reloaded.error().text().substr(0, max_line / 4));
}

Error nobody_there(const std::string& config_path) {
    return fail(Errc::not_found,
                fmt::format("no agent serves here with {}; start 'ctrl-exec-agent serve'", config_path));
}

}  // namespace

AgentControl::AgentControl(Runtime& runtime, Protocol::acceptor acceptor, Reload reload)
    : runtime_(runtime), acceptor_(std::move(acceptor)), reload_(std::move(reload)) {}

Result<std::unique_ptr<AgentControl>> AgentControl::open(Runtime& runtime, const std::string& config_path,
                                                         Reload reload) {
    Protocol::acceptor acceptor(runtime.io());
    std::error_code error;
    if (acceptor.open(Protocol(), error); !error) acceptor.bind(endpoint_of(config_path), error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
        return fail(error == asio::error::address_in_use ? Errc::exists : Errc::io,
                    fmt::format("no control socket for {}: {}; reload and allow will not reach this agent",
                                config_path, error.message()));
    }
    return std::unique_ptr<AgentControl>(new AgentControl(runtime, std::move(acceptor), std::move(reload)));
}

asio::awaitable<void> AgentControl::serve() {
    constexpr std::chrono::milliseconds pause{100};  // when there are no descriptors left, say
    asio::steady_timer timer(runtime_.io());
    for (;;) {
        std::error_code error;
        auto socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
        if (error == asio::error::operation_aborted) co_return;
        if (error) {
            timer.expires_after(pause);
            co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
        } else if (is_root_or_us(socket)) {
            co_await answer(std::move(socket));
        }
    }
}

asio::awaitable<void> AgentControl::answer(Protocol::socket socket) {
    Deadline deadline(runtime_.io().get_executor(), [&socket] { socket.close(); });
    deadline.arm(exchange_timeout);
    const auto order = co_await read_line(&socket);
    if (!order) co_return;
    std::string reply = reply_to(*order, reload_);
    (void)co_await write_line(&socket, std::move(reply));
}

asio::awaitable<Result<void>> order_agent(Runtime& runtime, std::string config_path, AgentOrder order) {
    Protocol::socket socket(runtime.io());
    Deadline deadline(runtime.io().get_executor(), [&socket] { socket.close(); });
    deadline.arm(order_timeout);
    std::error_code error;
    co_await socket.async_connect(endpoint_of(config_path), asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return nobody_there(config_path);
    if (!is_root_or_us(socket)) {
        co_return fail(Errc::denied,
                       "another user's process answers in place of the agent; run this as the agent's user");
    }
    std::string line = word(order);
    (void)co_await write_line(&socket, std::move(line));
    CO_TRY(const std::string reply, co_await read_line(&socket));
    if (reply != done) co_return fail(Errc::config, printable(reply));
    co_return success();
}

Result<void> order_agent(const std::string& config_path, AgentOrder order) {
    Runtime runtime;
    Result<void> outcome;
    runtime.run([&]() -> asio::awaitable<int> {
        outcome = co_await order_agent(runtime, config_path, order);
        co_return 0;
    });
    return outcome;
}

}  // namespace ctrlexec
