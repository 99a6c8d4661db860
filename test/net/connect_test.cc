#include "net/connect.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <chrono>
#include <optional>
#include <vector>

#include "net/runtime.h"

using namespace ctrlexec;
using asio::ip::tcp;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

const asio::ip::address loopback = asio::ip::make_address("127.0.0.1");

// Takes connections.
struct Open {
    asio::io_context io;
    tcp::acceptor acceptor{io, tcp::endpoint(loopback, 0)};
    tcp::endpoint endpoint = acceptor.local_endpoint();
};

// Takes no further connection and refuses none: its queue is full, so that the kernel drops what asks.
struct Silent {
    asio::io_context io;
    tcp::acceptor acceptor{io, tcp::v4()};
    std::vector<tcp::socket> fill;
    tcp::endpoint endpoint;

    Silent() {
        acceptor.bind(tcp::endpoint(loopback, 0));
        acceptor.listen(0);
        endpoint = acceptor.local_endpoint();
        for (int i = 0; i < 4; ++i) {
            fill.emplace_back(io, tcp::v4());
            fill.back().native_non_blocking(true);  // asio's own connect would wait
            (void)::connect(fill.back().native_handle(), endpoint.data(),
                            static_cast<socklen_t>(endpoint.size()));
        }
    }
};

tcp::endpoint closed() {
    const Open gone;
    return gone.endpoint;
}

struct Outcome {
    std::optional<tcp::endpoint> peer;
    std::optional<Errc> error;
    milliseconds took{0};
};

Outcome connect_to(std::vector<tcp::endpoint> endpoints, milliseconds timeout) {
    Runtime runtime;
    Outcome outcome;
    const auto start = Clock::now();
    runtime.run([&]() -> asio::awaitable<int> {
        const auto done = co_await connect(std::move(endpoints), timeout);
        if (done) {
            outcome.peer = done->remote_endpoint();
        } else {
            outcome.error = done.error().code;
        }
        co_return 0;
    });
    outcome.took = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
    return outcome;
}

}  // namespace

TEST_CASE("an address that refuses is left at once for the next") {
    const Open open;
    const Outcome outcome = connect_to({closed(), closed(), open.endpoint}, milliseconds(20'000));
    CHECK(outcome.peer == open.endpoint);
}

TEST_CASE("an address that does not answer holds up the next for a quarter of a second only") {
    const Silent silent;
    const Open open;
    const Outcome outcome = connect_to({silent.endpoint, open.endpoint}, milliseconds(20'000));
    CHECK(outcome.peer == open.endpoint);
    CHECK(outcome.took >= milliseconds(250));
    CHECK(outcome.took < milliseconds(10'000));  // its share of the time was half of it once
}

TEST_CASE("nobody answers") {
    const Silent silent;
    CHECK(connect_to({silent.endpoint}, milliseconds(300)).error == Errc::timed_out);
    CHECK(connect_to({silent.endpoint, closed()}, milliseconds(600)).error == Errc::timed_out);
    CHECK(connect_to({closed(), closed()}, milliseconds(20'000)).error == Errc::refused);
    CHECK(connect_to({}, milliseconds(20'000)).error == Errc::unresolved);
}

TEST_CASE("families take turns, beginning with the resolver's first") {
    const auto at = [](const char* address) { return tcp::endpoint(asio::ip::make_address(address), 1); };
    const std::vector<tcp::endpoint> found{at("::1"), at("::2"), at("::3"), at("10.0.0.1"), at("10.0.0.2")};
    const std::vector<tcp::endpoint> wanted{at("::1"), at("10.0.0.1"), at("::2"), at("10.0.0.2"), at("::3")};
    CHECK(alternate_families(found) == wanted);
    CHECK(alternate_families({at("10.0.0.1"), at("::1")}) == std::vector{at("10.0.0.1"), at("::1")});
    CHECK(alternate_families({}).empty());
}
