#include "cmd/dispatcher_context.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "cmd/print.h"
#include "core/config_file.h"
#include "core/log.h"
#include "core/open_files.h"
#include "core/secret_from_environment.h"

namespace ctrlexec {
Result<DispatcherConfig> open_dispatcher(const Invocation& call) {
    // On a terminal the events of pairing-mode are shown in words.
    const bool to_stderr = call.verb == "pairing-mode" && ::isatty(STDERR_FILENO) != 1;
    open_log("ctrl-exec-dispatcher", to_stderr ? LogFallback::to_stderr : LogFallback::discard);
    raise_open_file_limit();  // a run holds a lock for each of its hosts
    TRY(DispatcherConfig config, DispatcherConfig::load(call.text("--config", default_dispatcher_config)));
    set_log_format(config.log_format);
    for (const auto& warning : config.warnings) print_error_line(call.program + ": warning: " + warning);
    return config;
}

Result<int> port_option(const Invocation& call) {
    return number_option(call, "--port", 1, 65535, 0);
}

Result<int> number_option(const Invocation& call, const std::string& option, int low, int high,
                          int fallback) {
    if (!call.has(option)) return fallback;
    std::int64_t number = 0;
    if (!parse_integer(call.text(option), low, high, number))
        return fail(Errc::usage, fmt::format("{} must be {} to {}", option, low, high));
    return static_cast<int>(number);
}

std::string username_of(const Invocation& call) {
    const char* const name = std::getenv("USER");
    return call.text("--username", name == nullptr ? "" : name);
}

Result<std::string> token_of(const Invocation& call) {
    if (call.has("--token")) return call.text("--token");
    TRY(auto token, secret_from_environment("ENVEXEC_TOKEN"));
    return token ? std::move(*token) : std::string();
}

}  // namespace ctrlexec
