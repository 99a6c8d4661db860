#include "net/idle_pool.h"

#include <doctest/doctest.h>

#include <set>

namespace ctrlexec {
namespace {

using namespace std::chrono_literals;

// Notes that it is open for as long as it lives.
struct Connection {
    Connection(int number, std::set<int>& all) : id(number), open(all) { open.insert(id); }
    ~Connection() { open.erase(id); }
    int id;
    std::set<int>& open;
};

using Pool = IdlePool<Connection>;

struct Fixture {
    std::set<int> open;
    Pool pool{Pool::Limits{4, 2, 30s}};
    Pool::Time start{};

    void give(const char* peer, int id, std::chrono::seconds at = 0s) {
        pool.give(peer, std::make_unique<Connection>(id, open), start + at);
    }
    int take(const char* peer) {
        const auto connection = pool.take(peer);
        return connection ? connection->id : 0;
    }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a connection is taken once, for its own peer only, and the one used last first") {
    give("a", 1);
    give("a", 2);
    give("b", 3);
    CHECK(take("c") == 0);
    CHECK(take("a") == 2);
    CHECK(take("a") == 1);
    CHECK(take("a") == 0);
    CHECK(take("b") == 3);
    CHECK(pool.size() == 0);
    CHECK(open.empty());
}

TEST_CASE_FIXTURE(Fixture, "above the limit of one peer its oldest connection is closed") {
    give("b", 1);
    give("a", 2);
    give("a", 3);
    give("a", 4);
    CHECK(open == std::set<int>{1, 3, 4});
}

TEST_CASE_FIXTURE(Fixture, "above the limit of all the oldest connection is closed") {
    give("a", 1);
    give("b", 2);
    give("c", 3);
    give("d", 4);
    give("e", 5);
    CHECK(open == std::set<int>{2, 3, 4, 5});
    CHECK(pool.size() == 4);
}

TEST_CASE_FIXTURE(Fixture, "what has waited too long is closed, and the next such time is told") {
    give("a", 1, 0s);
    give("b", 2, 10s);
    CHECK(pool.expire(start + 29s) == start + 30s);
    CHECK(open == std::set<int>{1, 2});
    CHECK(pool.expire(start + 30s) == start + 40s);
    CHECK(open == std::set<int>{2});
    CHECK(pool.expire(start + 60s) == std::nullopt);
    CHECK(open.empty());
}

TEST_CASE_FIXTURE(Fixture, "a connection that was used again waits anew") {
    give("a", 1, 0s);
    give("b", 2, 5s);
    auto connection = pool.take("a");
    pool.give("a", std::move(connection), start + 20s);
    CHECK(pool.expire(start + 30s) == start + 35s);
    CHECK(pool.expire(start + 40s) == start + 50s);
    CHECK(open == std::set<int>{1});
}

TEST_CASE("with the pool its connections are closed") {
    std::set<int> open;
    {
        Pool pool{Pool::Limits{}};
        pool.give("a", std::make_unique<Connection>(1, open), Pool::Time{});
        CHECK(open.size() == 1);
    }
    CHECK(open.empty());
}

}  // namespace ctrlexec
