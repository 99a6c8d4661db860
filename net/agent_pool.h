// Connections to agents that are kept open between requests.
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <unordered_set>

#include "net/agent_call.h"
#include "net/agent_connection.h"
#include "net/idle_pool.h"

namespace ctrlexec {

// One for each TLS context: what was shaken hands on with another certificate or CA is never used. `agent` is
// agent_key() of its address.
class AgentPool : public std::enable_shared_from_this<AgentPool> {
  public:
    explicit AgentPool(const asio::any_io_executor& executor);

    // Whether the agent's last answer showed that it is one of ours: only such are asked to keep a connection
    // open, and the very first request to each is not.
    bool is_ours(const std::string& agent) const { return ours_.contains(agent); }
    void learn(const std::string& agent, bool ours);

    // A connection that can take a request now, or null.
    std::unique_ptr<AgentConnection> take(const std::string& agent);
    void give(const std::string& agent, std::unique_ptr<AgentConnection> connection);

  private:
    void watch();
    IdlePool<AgentConnection> idle_;
    std::unordered_set<std::string> ours_;
    asio::steady_timer timer_;
    bool watching_ = false;
};

// The same only for addresses that reach the same agent in the same way.
std::string agent_key(const AgentAddress& address);

}  // namespace ctrlexec
