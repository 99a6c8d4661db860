// Usage: ctrl-exec-api
// Serves the HTTP API until SIGTERM or SIGINT; SIGHUP reloads configuration and certificate.
#include <fmt/format.h>

#include <cstdio>

#include "cmd/entrypoint.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/join_token_file.h"
#include "core/log.h"
#include "core/open_files.h"
#include "net/api_server.h"
#include "net/runtime.h"
#include "net/token_file_renewal.h"

namespace ctrlexec {

int api_serve(const Invocation& call) {
    open_log("ctrl-exec-api", LogFallback::to_stderr);
    raise_open_file_limit();
    Runtime runtime;
    auto server = ApiServer::create(runtime, call.text("--config", default_dispatcher_config));
    if (!server) return report(call, server.error());
    print_out(fmt::format("ctrl-exec-api: listening on {}\n", (*server)->address()));
    std::fflush(stdout);
    // A container's first start has made it (cmd/entrypoint_dispatcher), and judged the variables.
    const auto token_file = JoinTokenFile::from(environment_variable);
    if (token_file && *token_file) {
        std::function<DispatcherConfig()> config = [&server] { return (*server)->snapshot().config; };
        runtime.spawn(renew_token_file(runtime, std::move(config), **token_file));
    }
    return runtime.run([&] { return (*server)->serve(); });
}

}  // namespace ctrlexec
