#include "cmd/agent_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "core/hostname.h"

namespace ctrlexec {

std::string agent_command(const DispatcherConfig& config, std::string_view options) {
    std::array<char, 256> name{};
    (void)::gethostname(name.data(), name.size() - 1);
    std::string host = name.data();
    if (!is_valid_hostname(host)) host = "HOST";
    if (config.pairing_port != default_pairing_port && config.pairing_port != 0)
        host += fmt::format(" --port {}", config.pairing_port);
    return fmt::format("ctrl-exec-agent request-pairing --dispatcher {} {}", host, options);
}

}  // namespace ctrlexec
