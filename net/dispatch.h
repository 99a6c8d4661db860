// The run engine: one request to many agents.
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
#include "core/host_result.h"
#include "core/registry.h"
#include "core/run_request.h"
#include "core/target.h"
#include "net/runtime.h"
#include "net/tls_context.h"

namespace ctrlexec {

class Dispatch {
  public:
    // Reads certificate, key and CA; Errc::config with the remedy when they are missing.
    static Result<Dispatch> create(Runtime& runtime, const DispatcherConfig& config);

    // // Asks the configured auth hook; without one the command line always passes. `code`: see ask_hook.
    asio::awaitable<Result<void>> authorise(AuthRequest question, int* code);

    // Takes the lock of `script` on every target, or none: then Errc::locked, and `conflicts` lists
    // "host:script". Each is held until its host's result has been handed over.
    Result<void> lock(const std::vector<Target>& targets, const RunRequest& request,
                      std::vector<std::string>& conflicts);

    // Each result is handed over as it comes, in completion order, one for every target.
    asio::awaitable<void> run(std::vector<Target> targets, RunRequest request,
                              std::function<void(RunResult)> on_result);
    asio::awaitable<void> ping(std::vector<Target> targets, std::string reqid,
                               std::function<void(PingResult)> on_result);

  private:
    Dispatch(Runtime& runtime, const DispatcherConfig& config, std::shared_ptr<TlsContext> tls);
    void unlock(const std::string& host, const RunRequest& request);
    asio::awaitable<RunResult> run_one(Target target, std::shared_ptr<const RunRequest> request);
    asio::awaitable<PingResult> ping_one(Target target, std::string reqid);
    asio::awaitable<Result<std::string>> post(Target target, std::string path, std::string body);

    Runtime* runtime_;
    DispatcherConfig config_;
    Registry registry_;
    std::shared_ptr<TlsContext> tls_;
    std::multimap<std::string, FileLock> locks_;  // by host
};

}  // namespace ctrlexec
