// Usage: config show
// KEY, VALUE, ORIGIN of every key of ctrl-exec.conf, as the other commands and the HTTP API would take it.
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/show_settings.h"
#include "cmd/verbs.h"

namespace ctrlexec {

int dispatcher_config(const Invocation& call) {
    if (const auto asked = check_show(call); !asked) return report(call, asked.error());
    const auto port = port_option(call);
    if (!port) return report(call, port.error());
    auto config = DispatcherConfig::load(call.text("--config", default_dispatcher_config));
    if (!config) return report(call, config.error());
    for (auto& setting : config->settings) {
        if (*port == 0 || setting.key != "port") continue;
        setting = {"port", std::to_string(*port), SettingSource::option, "--port"};
    }
    return show_settings(call, config->path, config->settings, config->warnings, DispatcherConfig::places());
}

}  // namespace ctrlexec
