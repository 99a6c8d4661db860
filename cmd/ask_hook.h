// The auth hook, asked from the command line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cmd/applet.h"
#include "core/auth_request.h"
#include "core/target.h"
#include "net/dispatch.h"

namespace ctrlexec {

// Fails when the token cannot be read.
Result<AuthRequest> hook_question(const Invocation& call, std::string action,
                                  const std::vector<Target>& targets);

// Nothing when the hook permits it or there is none. Else the exit code, and why has been said:
// {"ok":0,"error", "code"} with --json, and a sentence.
std::optional<int> refused_by_hook(Runtime& runtime, const Dispatch& dispatch, const Invocation& call,
                                   AuthRequest question);

}  // namespace ctrlexec
