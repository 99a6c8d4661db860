// Agents' certificates renewed over the live connection, before they expire.
#pragma once

#include <asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/dispatcher_config.h"
#include "core/json.h"
#include "core/result.h"
#include "net/dispatch.h"
#include "net/runtime.h"

namespace ctrlexec {

struct RenewalResult {
    enum class Outcome {
        not_due,
        renewed,
        cannot,  // an old agent, which has no such route: its certificate will expire
        busy,    // another process is at it
        failed,
    };
    std::string host;
    Outcome outcome = Outcome::not_due;
    std::string expiry;  // of the certificate that is now the registered one
    std::string error;   // of `cannot`, `busy` and `failed`

    std::string_view word() const;  // "ok", "renewed", "cannot-renew", "busy", "failed"
    json::Value to_json(std::int64_t now) const;
};

enum class RenewWhich { due, all };

class Renewals {
  public:
    Renewals(Runtime& runtime, const DispatcherConfig& config, std::shared_ptr<const Dispatch> dispatch);

    // One registered agent. Whoever is interrupted in between leaves nothing half done: the agent has the old
    // certificate or the new one, and the next connection to it tells which.
    asio::awaitable<RenewalResult> renew(std::string hostname, RenewWhich which) const;

    // All registered agents, in the order of their names; at most 16 at the same time. Logs what was renewed,
    // what failed, and whose certificate has less than cert_renewal_days left. An error when the registry or,
    // with anything due, the CA cannot be used.
    asio::awaitable<Result<std::vector<RenewalResult>>> round(RenewWhich which) const;

    // The same for those of `hosts` that are registered and due; what is not is left out, and errors of the
    // whole round are each host's.
    asio::awaitable<std::vector<RenewalResult>> renew_registered(std::vector<std::string> hosts) const;

  private:
    struct Start;
    asio::awaitable<std::vector<RenewalResult>> renew_planned(std::vector<AgentRecord> agents,
                                                              RenewWhich which) const;
    asio::awaitable<Result<std::string>> request(std::string hostname, std::string reqid) const;
    Runtime* runtime_;
    std::shared_ptr<const DispatcherConfig> config_;
    std::shared_ptr<const Dispatch> dispatch_;
};

}  // namespace ctrlexec
