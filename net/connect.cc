#include "net/connect.h"

#include <fmt/format.h>
#include <netdb.h>

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cstring>
#include <memory>

#include "core/target.h"
#include "net/deadline.h"

namespace ctrlexec {
namespace {

using asio::ip::tcp;
using Endpoints = std::vector<tcp::endpoint>;

constexpr std::size_t max_addresses = 16;

Result<Endpoints> look_up(const std::string& host, int port) {
    struct Free {
        void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
    };
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int status = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
    const std::unique_ptr<addrinfo, Free> list(found);
    if (status != 0) {
        return fail(Errc::unresolved,
                    fmt::format("the name '{}' does not resolve: {}", host, ::gai_strerror(status)));
    }
    Endpoints endpoints;
    for (const auto* entry = list.get(); entry != nullptr && endpoints.size() < max_addresses;
         entry = entry->ai_next) {
        tcp::endpoint endpoint;
        if (entry->ai_addrlen > endpoint.capacity()) continue;
        std::memcpy(endpoint.data(), entry->ai_addr, entry->ai_addrlen);
        endpoint.resize(entry->ai_addrlen);
        endpoints.push_back(endpoint);
    }
    if (endpoints.empty()) return fail(Errc::unresolved, fmt::format("the name '{}' has no address", host));
    return endpoints;
}

Error connect_error(const std::error_code& error, bool expired, const tcp::endpoint& endpoint) {
    const std::string where = host_port(endpoint.address().to_string(), endpoint.port());
    if (expired || error == asio::error::timed_out)
        return fail(Errc::timed_out, fmt::format("no answer from {}", where));
    if (error == asio::error::connection_refused) {
        return fail(Errc::refused, fmt::format("connection refused by {}: nothing listens there", where));
    }
    return fail(Errc::unreachable, fmt::format("cannot reach {}: {}", where, error.message()));
}

}  // namespace

asio::awaitable<Result<Endpoints>> resolve(Runtime& runtime, std::string host, int port,
                                           std::chrono::milliseconds timeout) {
    std::error_code error;
    const auto literal = asio::ip::make_address(host, error);
    if (!error) co_return Endpoints(1, tcp::endpoint(literal, static_cast<std::uint16_t>(port)));
    std::function<Result<Endpoints>()> work = [host, port] { return look_up(host, port); };
    auto found = co_await offload<Endpoints>(runtime.pool(), timeout, std::move(work));
    if (!found && found.error().code == Errc::timed_out) {
        co_return fail(Errc::timed_out, fmt::format("the name servers gave no answer for '{}'", host));
    }
    co_return found;
}

asio::awaitable<Result<tcp::socket>> connect(Endpoints endpoints, std::chrono::milliseconds timeout) {
    const auto executor = co_await asio::this_coro::executor;
    const auto give_up = std::chrono::steady_clock::now() + timeout;
    Error last = fail(Errc::unresolved, "no address");
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(give_up - std::chrono::steady_clock::now());
        if (left.count() <= 0) co_return fail(Errc::timed_out, "no answer in time", last.text());
        tcp::socket socket(executor);
        Deadline deadline(executor, [&socket] {
            std::error_code ignored;
            socket.close(ignored);
        });
        deadline.arm(left / static_cast<int>(endpoints.size() - i));
        std::error_code error;
        co_await socket.async_connect(endpoints[i], asio::redirect_error(asio::use_awaitable, error));
        deadline.disarm();
        if (!error) co_return std::move(socket);
        last = connect_error(error, deadline.expired(), endpoints[i]);
    }
    co_return last;
}

}  // namespace ctrlexec
