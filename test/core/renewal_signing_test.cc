#include "core/renewal_signing.h"

#include <doctest/doctest.h>

#include "core/timestamp.h"

using namespace ctrlexec;

namespace {

constexpr std::int64_t day = 86400;
constexpr std::int64_t now = 1'800'000'000;

AgentRecord agent_with(std::int64_t left) {
    AgentRecord agent;
    agent.hostname = "web-01";
    agent.expiry = openssl_time(now + left);
    return agent;
}

}  // namespace

TEST_CASE("a renewal is due with less than half of the days left") {
    const std::int64_t far = now + 4000 * day;
    CHECK_FALSE(renewal_is_due(agent_with(50 * day), 100, far, now));
    CHECK(renewal_is_due(agent_with(50 * day - 1), 100, far, now));
    CHECK(renewal_is_due(agent_with(-1), 100, far, now));
    AgentRecord unknown = agent_with(90 * day);
    unknown.expiry = "soon";
    CHECK(renewal_is_due(unknown, 100, far, now));
}

TEST_CASE("no renewal is due that would bring no more time, since the CA ends") {
    CHECK_FALSE(renewal_is_due(agent_with(10 * day), 100, now + 10 * day, now));
    CHECK(renewal_is_due(agent_with(10 * day), 100, now + 10 * day + 1, now));
}
