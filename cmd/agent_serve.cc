// Usage: serve
// Serves until SIGTERM or SIGINT; SIGHUP reloads configuration and allowlist.
#include <fmt/format.h>

#include <cstdio>

#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/log.h"
#include "core/open_files.h"
#include "net/agent_server.h"
#include "net/runtime.h"

namespace ctrlexec {

int agent_serve(const Invocation& call) {
    open_log("ctrl-exec-agent", LogFallback::to_stderr);
    raise_open_file_limit();
    Runtime runtime;
    auto server =
        AgentServer::create(runtime, call.text("--config", default_agent_config), call.text("--allowlist"));
    if (!server) return report(call, server.error());
    print_out(fmt::format("ctrl-exec-agent: listening on {}\n", (*server)->address()));
    std::fflush(stdout);
    return runtime.run([&] { return (*server)->serve(); });
}

}  // namespace ctrlexec
