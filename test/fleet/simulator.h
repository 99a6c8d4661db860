// Many agents in one process: each with its own address, certificate and conduct, all with the agent's own
// TLS, HTTP and routes.
#pragma once

#include <asio/signal_set.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "net/agent_host.h"
#include "net/agent_jobs.h"
#include "net/agent_routes.h"
#include "net/agent_snapshot.h"
#include "net/http_session.h"
#include "net/listener.h"
#include "net/running_children.h"
#include "net/runtime.h"
#include "test/fleet/plan.h"

namespace ctrlexec::fleet {

struct SimulatorOptions {
    std::string directory;                         // what make_fleet() has made
    std::size_t share = 0;                         // which of the plan's ports, and its agents, are ours
    bool canned = false;                           // /run is answered without running anything
    std::chrono::milliseconds latency{0};          // before each answer
    std::chrono::milliseconds connect_latency{0};  // before each handshake
};

class Simulator final : public AgentHost {
  public:
    static Result<std::unique_ptr<Simulator>> create(Runtime& runtime, SimulatorOptions options);

    std::string address() const { return listener_->address(); }
    std::size_t agents() const { return count_; }

    // Until SIGTERM or SIGINT.
    asio::awaitable<int> serve();

    Runtime& runtime() override { return runtime_; }
    RunningChildren& children() override { return children_; }
    RunTable& runs() override { return runs_; }
    AgentJobs& jobs() override { return *jobs_; }
    std::size_t running() const override { return runs_.size(); }
    std::size_t running(const std::string& script) const override { return runs_.count(script); }
    Result<void> reread(AgentPart part) override;

  private:
    struct Agent {
        std::shared_ptr<const AgentSnapshot> snapshot;  // null: not ours, or dead
        Conduct conduct = Conduct::dead;
    };
    Simulator(Runtime& runtime, SimulatorOptions options);
    Result<void> load(const Plan& plan);
    const Agent* agent_of(const asio::ip::tcp::socket& socket) const;
    asio::awaitable<void> connection(asio::ip::tcp::socket socket, std::string peer_ip);
    asio::awaitable<void> session(const Agent& agent, asio::ip::tcp::socket socket, std::string peer_ip);
    asio::awaitable<HttpAnswer> answer(const Agent& agent, AgentPeer peer, HttpMessage request);
    asio::awaitable<void> pause(std::chrono::milliseconds time);

    Runtime& runtime_;
    SimulatorOptions options_;
    asio::signal_set quit_;
    RunningChildren children_;
    RunTable runs_;
    std::unique_ptr<AgentJobs> jobs_;
    std::vector<Agent> agents_;  // by their number in the plan
    std::size_t count_ = 0;
    std::shared_ptr<Listener> listener_;
};

}  // namespace ctrlexec::fleet
