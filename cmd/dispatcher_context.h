// What every dispatcher verb starts with: the log and the configuration.
#pragma once

#include <string>
#include <vector>
#include "cmd/applet.h"

#include "core/auth_request.h"
#include "core/dispatcher_config.h"
#include "core/result.h"
#include "core/target.h"

namespace ctrlexec {

// Opens the log, loads the configuration (--config), says its warnings on stderr.
Result<DispatcherConfig> open_dispatcher(const Invocation& call);

// --port as a number; `fallback` when it is not given.
Result<int> port_option(const Invocation& call, int fallback);

// --username, $USER, or ""; --token, $ENVEXEC_TOKEN, or "".
std::string username_of(const Invocation& call);
std::string token_of(const Invocation& call);

// What the auth hook is asked about a call from the command line.
AuthRequest hook_question(const Invocation& call, std::string action, const std::vector<Target>& targets);

// The hook said no: {"ok":0,"error","code"} with --json, else a sentence; returns the exit code.
int report_denial(const Invocation& call, const Error& error, int code);

}  // namespace ctrlexec
