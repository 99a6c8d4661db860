// The agent: serves /run, /ping and /capabilities to trusted dispatchers.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/signal_set.hpp>
#include <memory>
#include <string>

#include "core/rate_limiter.h"
#include "net/agent_control.h"
#include "net/agent_host.h"
#include "net/agent_jobs.h"
#include "net/agent_snapshot.h"
#include "net/listener.h"
#include "net/running_children.h"
#include "net/runtime.h"

namespace ctrlexec {

class AgentServer final : public AgentHost {
  public:
    // Loads everything and opens the port. `allowlist_path` "" means the configured one.
    static Result<std::unique_ptr<AgentServer>> create(Runtime& runtime, std::string config_path,
                                                       std::string allowlist_path);

    std::string address() const { return listener_->address(); }
    const AgentSnapshot& snapshot() const { return *snapshot_; }

    // Serves until SIGTERM or SIGINT, then drains within `shutdown_grace`: running scripts may end by
    // themselves, in its last seconds get TERM, then KILL, and their callers an answer. SIGHUP reloads, and
    // so does the control socket.
    asio::awaitable<int> serve();

    Runtime& runtime() override { return runtime_; }
    RunningChildren& children() override { return children_; }
    RunTable& runs() override { return runs_; }
    AgentJobs& jobs() override { return *jobs_; }
    std::size_t running() const override { return runs_.size() + jobs_->running(); }
    std::size_t running(const std::string& script) const override {
        return runs_.count(script) + jobs_->running_of(script);
    }
    Result<void> reread(AgentPart part) override;

  private:
    AgentServer(Runtime& runtime, std::string config_path, std::string allowlist_path);
    asio::awaitable<void> session(asio::ip::tcp::socket socket, std::string peer_ip);
    Result<void> reload();
    asio::awaitable<bool> drain();
    void count_stranger(const std::string& ip, bool failed);
    void count_friend(const std::string& ip);

    Runtime& runtime_;
    asio::signal_set quit_;  // from the start: a signal right after the readiness line must not kill us
    asio::signal_set hangup_;
    RunningChildren children_;
    RunTable runs_;
    std::unique_ptr<AgentJobs> jobs_;
    std::string config_path_;
    std::string allowlist_path_;
    std::shared_ptr<const AgentSnapshot> snapshot_;
    RateLimiter limiter_;
    std::shared_ptr<Listener> listener_;
    std::unique_ptr<AgentControl> control_;  // null when another agent has its name
};

}  // namespace ctrlexec
