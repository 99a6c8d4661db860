#include "net/agent_pool.h"

#include <fmt/format.h>

namespace ctrlexec {
namespace {

// Well below the 75 s after which an agent closes: a request must not meet that.
constexpr IdlePool<AgentConnection>::Limits limits{256, 32, std::chrono::seconds(30)};

// A busy connection ends too: names get other addresses, certificates expire.
constexpr std::chrono::minutes max_age{5};

constexpr std::size_t max_known_agents = 100'000;

}  // namespace

AgentPool::AgentPool(const asio::any_io_executor& executor) : idle_(limits), timer_(executor) {}

void AgentPool::learn(const std::string& agent, bool ours) {
    if (!ours) {
        ours_.erase(agent);
    } else if (ours_.size() < max_known_agents) {
        ours_.insert(agent);
    }
}

std::unique_ptr<AgentConnection> AgentPool::take(const std::string& agent) {
    (void)idle_.expire(std::chrono::steady_clock::now());  // the timer may be late
    for (;;) {
        std::unique_ptr<AgentConnection> connection = idle_.take(agent);
        if (!connection || connection->reusable()) return connection;
    }
}

void AgentPool::give(const std::string& agent, std::unique_ptr<AgentConnection> connection) {
    const auto now = std::chrono::steady_clock::now();
    if (now - connection->opened() > max_age) return;
    idle_.give(agent, std::move(connection), now);
    watch();
}

void AgentPool::watch() {
    if (watching_) return;
    const auto next = idle_.expire(std::chrono::steady_clock::now());
    if (!next) return;
    watching_ = true;
    timer_.expires_at(*next);
    timer_.async_wait([weak = weak_from_this()](const std::error_code& error) {
        const auto self = weak.lock();
        if (error || !self) return;
        self->watching_ = false;
        self->watch();
    });
}

std::string agent_key(const AgentAddress& address) {
    return fmt::format("{} {} {} {}", address.host, address.port, address.by_address ? "ip" : "name",
                       address.fallback);
}

}  // namespace ctrlexec
