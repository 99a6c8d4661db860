// What every dispatcher verb starts with: the log and the configuration.
#pragma once

#include <string>

#include "cmd/applet.h"
#include "core/dispatcher_config.h"
#include "core/result.h"

namespace ctrlexec {

// Opens the log, loads the configuration (--config), says its warnings on stderr.
Result<DispatcherConfig> open_dispatcher(const Invocation& call);

// --port as a number; 0 when it is not given.
Result<int> port_option(const Invocation& call);

// A number that an option gives, `fallback` when it is not there; Errc::usage when it is none of low to high.
Result<int> number_option(const Invocation& call, const std::string& option, int low, int high, int fallback);

// --username, $USER, or ""; --token, $ENVEXEC_TOKEN, the content of the file $ENVEXEC_TOKEN_FILE, or "".
std::string username_of(const Invocation& call);
Result<std::string> token_of(const Invocation& call);

}  // namespace ctrlexec
