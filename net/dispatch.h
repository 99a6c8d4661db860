// The run engine: one request to many agents. The command line and the HTTP API use the same.
#pragma once

#include <asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/auth_request.h"
#include "core/dispatcher_config.h"
#include "core/file.h"
#include "core/follow_line.h"
#include "core/host_result.h"
#include "core/registry.h"
#include "core/run_request.h"
#include "core/target.h"
#include "core/ticket_store.h"
#include "net/agent_client.h"
#include "net/agent_question.h"
#include "net/destinations.h"
#include "net/runtime.h"
#include "net/tls_context.h"

namespace ctrlexec {

using HostLocks = std::map<std::string, FileLock>;  // by host

struct LockAttempt {
    HostLocks held;                      // empty when there is a conflict
    std::vector<std::string> conflicts;  // "host:script" of each lock that another run holds
};

void log_lock_released(const std::string& host, const RunRequest& request);

using OnOutput = std::function<void(const std::string& host, const FollowLine&)>;

// Asked when the script is about to be run on a host: why it must not be; "" when it may.
using MayBegin = std::function<std::string(const std::string& host)>;

class Dispatch {
  public:
    // Whether connections to agents of ours are kept for the next request: pays for a process that stays.
    enum class Connections { one_each, kept };

    // Reads certificate, key and CA; Errc::config with the remedy when they are missing. Any number of
    // requests may use the engine at the same time; kept connections and TLS tickets (core/ticket_store) are
    // all that it remembers of them.
    static Result<Dispatch> create(Runtime& runtime, const DispatcherConfig& config, Connections connections);

    // Asks the configured auth hook; without one the answer is yes. `code`: see ask_hook.
    asio::awaitable<Result<void>> authorise(AuthRequest question, int* code) const;

    // The lock of `script` on every target, or none. look: nothing is held afterwards; a run that nobody
    // waits for only must not begin while one that is waited for is under way.
    enum class LockUse : std::uint8_t { hold, look };
    asio::awaitable<Result<LockAttempt>> lock(std::vector<Target> targets,
                                              std::shared_ptr<const RunRequest> request,
                                              LockUse use = LockUse::hold) const;

    // Each result is handed over as it comes, in completion order, one for every target. A host's lock is
    // released when its last result has been handed over. With a time limit in the request an agent that
    // cannot keep it has refused.
    // `on_output` (may be empty) hears meanwhile of what the script prints, where the agent can tell it.
    // A host that may not begin (`may_begin` may be empty) is skipped.
    asio::awaitable<void> run(std::vector<Target> targets, std::shared_ptr<const RunRequest> request,
                              HostLocks locks, std::function<void(RunResult)> on_result,
                              OnOutput on_output = nullptr, MayBegin may_begin = nullptr) const;
    asio::awaitable<void> ping(std::vector<Target> targets, std::string reqid,
                               std::function<void(PingResult)> on_result) const;

    asio::awaitable<void> discover(std::vector<Target> targets,
                                   std::function<void(DiscoveryResult)> on_result) const;

    // POST of `body` to one agent, for what is neither run nor ping; the answer is an object.
    // Errc::not_found: the agent has no such route, as old ones have none of ours. Errc::denied: it said no,
    // by 403 or by "status":"error" with its reason.
    asio::awaitable<Result<json::Value>> ask(Target target, std::string path, json::Value body) const;

    // The body of a 2xx answer.
    asio::awaitable<Result<std::string>> put_question(Target target, AgentQuestion question) const;

    // The same, but an agent that does not know our certificate is not told of it (net/introduction).
    Dispatch without_introduction() const;

  private:
    Dispatch(Runtime& runtime, const DispatcherConfig& config, std::shared_ptr<TlsContext> tls,
             std::shared_ptr<AgentPool> pool);
    std::shared_ptr<Destinations> find(std::vector<Target> targets) const;
    asio::awaitable<void> keep_tickets() const;
    asio::awaitable<void> each(
        std::vector<Target> targets,
        std::function<asio::awaitable<void>(std::size_t, Result<Destination>)> work) const;
    asio::awaitable<RunResult> run_one(std::string host, Result<Destination> address,
                                       std::shared_ptr<const RunRequest> request, OnOutput on_output) const;
    asio::awaitable<Result<std::string>> run_answer(std::string host, Result<Destination> address,
                                                    std::shared_ptr<const RunRequest> request,
                                                    OnOutput on_output) const;
    asio::awaitable<PingResult> ping_one(std::string host, Result<Destination> address,
                                         std::string reqid) const;
    asio::awaitable<DiscoveryResult> discover_one(std::string host, Result<Destination> address) const;
    asio::awaitable<Result<std::string>> exchange(Result<Destination> address, AgentQuestion question) const;

    Runtime* runtime_;
    DispatcherConfig config_;
    Registry registry_;
    std::shared_ptr<TlsContext> tls_;
    std::string serial_;  // of our certificate
    bool introduces_ = true;
    std::shared_ptr<TicketStore> tickets_;
    std::shared_ptr<AnswerGate> gate_;
    std::shared_ptr<AgentPool> pool_;  // null: one connection each
};

}  // namespace ctrlexec
