// What a dispatcher's processes that stay do in the background for the certificates.
#pragma once

#include <asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "core/dispatcher_config.h"
#include "core/result.h"
#include "net/dispatch.h"
#include "net/renewal.h"
#include "net/runtime.h"

namespace ctrlexec {

// With what a round works: asked anew for each, so that a reload counts.
struct MaintenanceTools {
    DispatcherConfig config;
    std::shared_ptr<const Dispatch> dispatch;
};

// A round, which is the rotation of our own certificate and renewals of the agents', soon after the start and
// then each cert_check_interval, give or take a tenth, so that several processes do not meet; two that do
// lose nothing. Never ends. `on_round` may be empty.
asio::awaitable<void> maintain_certificates(Runtime& runtime, std::function<Result<MaintenanceTools>()> tools,
                                            std::function<void(const std::vector<RenewalResult>&)> on_round);

}  // namespace ctrlexec
