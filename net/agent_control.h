// The agent's control socket: how a command on the same machine asks the agent that serves here to reload,
// and whether it is there, without a signal, a pid file or a directory that can be written.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/local/stream_protocol.hpp>
#include <functional>
#include <memory>
#include <string>

#include "core/result.h"
#include "net/runtime.h"

namespace ctrlexec {

// An abstract socket (unix(7)), named after the configuration file with every symlink resolved: it needs no
// place on any file system, leaves nothing behind, and belongs to the network namespace, as a container's
// port does. Others on the machine can connect to it, so only our own uid and root are answered; and they
// could be there first, so the caller checks the same of the agent.
class AgentControl {
  public:
    // What to do for "reload"; its error is told to the caller.
    using Reload = std::function<Result<void>()>;

    // Errc::exists when another agent with this configuration is there.
    static Result<std::unique_ptr<AgentControl>> open(Runtime& runtime, const std::string& config_path,
                                                      Reload reload);

    // Answers one caller after the other, each within seconds, until the loop ends.
    asio::awaitable<void> serve();

  private:
    AgentControl(Runtime& runtime, asio::local::stream_protocol::acceptor acceptor, Reload reload);
    asio::awaitable<void> answer(asio::local::stream_protocol::socket socket);
    Runtime& runtime_;
    asio::local::stream_protocol::acceptor acceptor_;
    Reload reload_;
};

enum class AgentOrder { ping, reload };

// Asks the agent that serves with this configuration. Errc::not_found when none does; its own error when it
// could not do it; Errc::denied when whoever answers there is neither root nor us.
asio::awaitable<Result<void>> order_agent(Runtime& runtime, std::string config_path, AgentOrder order);

// The same, with a loop of its own: for commands.
Result<void> order_agent(const std::string& config_path, AgentOrder order);

}  // namespace ctrlexec
