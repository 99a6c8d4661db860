// What an auth hook is asked, as environment and as the JSON object on its stdin.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/approved_program.h"
#include "core/result.h"

namespace ctrlexec {

struct AuthRequest {
    std::string action;  // run, ping, api; on an agent run, discovery
    std::string script;
    std::vector<std::string> hosts;
    std::vector<std::string> arguments;
    std::string username;
    std::string token;  // secret: never logged
    std::string source_ip;
    std::string dispatcher;  // on an agent: the id of the one that asks
    std::int64_t time = 0;   // seconds since the epoch

    std::vector<std::string> environment() const;  // ENVEXEC_*; nothing else
    std::string input() const;

    // The same question about so many of its hosts that each part fits into an environment, whose variables
    // Linux bounds to 128 KiB: all of them must be answered with yes. At least one part.
    std::vector<AuthRequest> parts() const;
};

// The configured hook as a program: the gate for hooks. Errc::denied when it is missing or not executable.
class AuthHook {
  public:
    static Result<ApprovedProgram> approve(const std::string& path);
};

// What the hook's end means: success, or Errc::denied with "denied", "bad credentials", "insufficient
// privilege", "hook exited N".
Result<void> judge_hook(int exit_status);

}  // namespace ctrlexec
