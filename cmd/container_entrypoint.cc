// Usage: ctrl-exec entrypoint dispatcher|agent [--configure]
// What a container runs: makes on the first start what is missing, then serves in the same process.
// `ctrl-exec` alone does it too where the environment variable ROLE names the role.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "cmd/entrypoint.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/agent_config.h"
#include "core/dispatcher_config.h"
#include "core/file.h"
#include "core/leftovers.h"
#include "core/utf8.h"

namespace ctrlexec {

void say(std::string_view text) {
    print_out(fmt::format("[entrypoint] {}\n", text));
    std::fflush(stdout);
}

int report_start(const Error& error) {
    print_error_line("[entrypoint] ERROR: " + error.text());
    return info(error.code).exit_code;
}

std::string environment_variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

Result<void> check_directory_of(const std::string& config) {
    const std::string directory = directory_of(config);
    if (file_exists(directory)) return success();
    return fail(Errc::config, fmt::format("cannot make {}: {} does not exist; mount a volume there, or name "
                                          "another file with --config",
                                          config, directory));
}

Result<bool> create_missing(const std::string& path, std::string_view text, mode_t mode, void (*begin)()) {
    if (file_exists(path)) return false;
    TRY_DO(check_directory_of(path));
    TRY(const FileLock lock, FileLock::acquire(directory_of(path) + "/.setup.lock", FileLock::Wait::yes));
    if (file_exists(path)) return false;
    if (begin != nullptr) begin();
    TRY_DO(remove_leftovers(path, 0));
    const auto made = create_file_atomic(path, text, mode);
    if (!made && made.error().code == Errc::exists) return false;  // a link that leads nowhere
    if (!made) return made.error();
    return true;
}

int container_entrypoint(const Invocation& call) {
    const std::string& role = call.operands[0];
    const bool agent = role == "agent";
    if (!agent && role != "dispatcher") {
        return report(call, fail(Errc::usage, fmt::format("'{}' is neither dispatcher nor agent",
                                                          printable(role.substr(0, 80)))));
    }
    Entrypoint start;
    start.config = call.text("--config", agent ? default_agent_config : default_dispatcher_config);
    start.state_dir = call.text("--state-dir");
    start.configure_only = call.has("--configure");
    return agent ? start_agent(start) : start_dispatcher(start);
}

}  // namespace ctrlexec
