#include "net/connect.h"

#include <fmt/format.h>
#include <netdb.h>

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <cstring>
#include <memory>
#include <optional>

#include "core/target.h"

namespace ctrlexec {
namespace {

using asio::ip::tcp;
using Endpoints = std::vector<tcp::endpoint>;

constexpr std::size_t max_addresses = 16;
constexpr std::chrono::milliseconds attempt_delay{250};  // RFC 8305, section 5

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

namespace {

// Attempts under way at the same time, and the first that succeeds.
struct Race {
    Race(const asio::any_io_executor& executor, Endpoints addresses)
        : endpoints(std::move(addresses)), wake(executor) {}

    Endpoints endpoints;
    std::vector<tcp::socket> sockets;  // one for each that has begun, in the same order
    std::size_t under_way = 0;
    std::optional<std::size_t> winner;
    Error last = fail(Errc::unresolved, "no address");
    asio::steady_timer wake;  // cancelled when an attempt ends

    void ended(std::size_t index, const std::error_code& error) {
        --under_way;
        if (!error && !winner) winner = index;
        if (error) last = connect_error(error, false, endpoints[index]);
        wake.cancel();
    }
};

void begin_next(const std::shared_ptr<Race>& race) {
    const std::size_t index = race->sockets.size();
    ++race->under_way;
    race->sockets.emplace_back(race->wake.get_executor());
    race->sockets[index].async_connect(
        race->endpoints[index], [race, index](const std::error_code& error) { race->ended(index, error); });
}

void close_all(Race& race) {
    std::error_code ignored;
    for (auto& socket : race.sockets) socket.close(ignored);
}

}  // namespace

Endpoints alternate_families(Endpoints endpoints) {
    if (endpoints.empty()) return endpoints;
    const bool first_is_v6 = endpoints.front().address().is_v6();
    const auto other = std::stable_partition(
        endpoints.begin(), endpoints.end(),
        [&](const tcp::endpoint& endpoint) { return endpoint.address().is_v6() == first_is_v6; });
    Endpoints mixed;
    auto a = endpoints.begin();
    auto b = other;
    while (a != other || b != endpoints.end()) {
        if (a != other) mixed.push_back(*a++);
        if (b != endpoints.end()) mixed.push_back(*b++);
    }
    return mixed;
}

asio::awaitable<Result<tcp::socket>> connect(Endpoints endpoints, std::chrono::milliseconds timeout) {
    using Clock = std::chrono::steady_clock;
    const auto executor = co_await asio::this_coro::executor;
    const auto give_up = Clock::now() + timeout;
    endpoints = alternate_families(std::move(endpoints));
    const auto race = std::make_shared<Race>(executor, std::move(endpoints));
    race->sockets.reserve(race->endpoints.size());  // attempts refer to them
    std::error_code ignored;
    while (!race->winner && Clock::now() < give_up) {
        const bool more = race->sockets.size() < race->endpoints.size();
        if (!more && race->under_way == 0) break;
        if (more) begin_next(race);
        const bool still_more = race->sockets.size() < race->endpoints.size();
        race->wake.expires_at(still_more ? std::min(give_up, Clock::now() + attempt_delay) : give_up);
        co_await race->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    Result<tcp::socket> won = race->last;
    if (race->winner) {
        won = std::move(race->sockets[*race->winner]);
    } else if (race->under_way > 0) {
        won = connect_error(asio::error::timed_out, true, race->endpoints.front());
    }
    close_all(*race);
    co_return std::move(won);
}

}  // namespace ctrlexec
