// `config show` of both roles.
#pragma once

#include <string>
#include <vector>

#include "cmd/applet.h"
#include "core/config_environment.h"
#include "core/result.h"
#include "core/setting.h"

namespace ctrlexec {

// The only operand that there is. Errc::usage.
Result<void> check_show(const Invocation& call);

// KEY, VALUE, ORIGIN of each, or one line of JSON; the warnings, and variables that set nothing, on stderr.
int show_settings(const Invocation& call, const std::string& path, const std::vector<Setting>& settings,
                  const std::vector<std::string>& warnings, const ConfigPlaces& places);

}  // namespace ctrlexec
