#include "net/pairing_mode.h"

#include <csignal>

#include "core/dispatcher_identity.h"
#include "net/identity_watch.h"
#include "net/maintenance.h"

namespace ctrlexec {
namespace {

// With the certificate that the files hold now: there is no reload here.
Result<MaintenanceTools> maintenance_tools(Runtime& runtime, const DispatcherConfig& config) {
    TRY(Dispatch dispatch, Dispatch::create(runtime, config, Dispatch::Connections::one_each));
    return MaintenanceTools{config, std::make_shared<const Dispatch>(std::move(dispatch))};
}

}  // namespace

PairingMode::PairingMode(Runtime& runtime, const DispatcherConfig& config)
    : runtime_(runtime), quit_(runtime.io(), SIGTERM, SIGINT), config_(config) {}

Result<std::unique_ptr<PairingMode>> PairingMode::create(Runtime& runtime, const DispatcherConfig& config,
                                                         PairingEvents events) {
    std::unique_ptr<PairingMode> self(new PairingMode(runtime, config));
    self->stamp_ = identity_stamp(config);  // before it is read: a change meanwhile is met later
    TRY(self->listener_, PairingListener::create(runtime, config, std::move(events), "another pairing-mode"));
    return self;
}

asio::awaitable<int> PairingMode::serve() {
    std::function<Result<MaintenanceTools>()> tools = [this] { return maintenance_tools(runtime_, config_); };
    runtime_.spawn(maintain_certificates(runtime_, std::move(tools), nullptr));
    std::function<DispatcherConfig()> config = [this] { return config_; };
    std::function<void()> on_change = [this] { listener_->take_identity_of_now(); };
    std::vector<std::int64_t> stamp = stamp_;
    runtime_.spawn(watch_identity(runtime_, std::move(stamp), std::move(config), std::move(on_change)));
    std::function<void()> on_signal = [this] { stop(); };
    runtime_.spawn(on_each_signal(quit_, std::move(on_signal)));
    co_await listener_->run();
    co_return 0;
}

}  // namespace ctrlexec
