// Usage: ctrl-exec-api
// Serves the HTTP API until SIGTERM or SIGINT; SIGHUP reloads configuration and certificate.
#include <fmt/format.h>

#include <cstdio>

#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/log.h"
#include "core/open_files.h"
#include "net/api_server.h"
#include "net/runtime.h"

namespace ctrlexec {

int api_serve(const Invocation& call) {
    open_log("ctrl-exec-api", LogFallback::to_stderr);
    raise_open_file_limit();
    Runtime runtime;
    auto server = ApiServer::create(runtime, call.text("--config", default_dispatcher_config));
    if (!server) return report(call, server.error());
    print_out(fmt::format("ctrl-exec-api: listening on {}\n", (*server)->address()));
    std::fflush(stdout);
    return runtime.run([&] { return (*server)->serve(); });
}

}  // namespace ctrlexec
