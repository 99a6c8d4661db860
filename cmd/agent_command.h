// What to type on the agent: words that commands of the dispatcher print.
#pragma once

#include <string>
#include <string_view>

#include "core/dispatcher_config.h"

namespace ctrlexec {

// "ctrl-exec-agent request-pairing --dispatcher HOST OPTIONS", HOST being what this machine calls itself.
std::string agent_command(const DispatcherConfig& config, std::string_view options);

}  // namespace ctrlexec
