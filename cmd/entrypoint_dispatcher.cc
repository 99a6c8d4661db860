#include <fmt/format.h>
#include <sys/stat.h>

#include <map>

#include "cmd/entrypoint.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/dispatcher_config.h"
#include "core/file.h"
#include "core/first_config.h"
#include "core/join_token_file.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

constexpr const char* hook_example = "/opt/ctrl-exec/etc/auth-hook.example";
constexpr std::size_t max_hook_bytes = 64 * 1024;

// As if somebody had typed it, so that first start and manual set-up say and do the same.
Invocation as_typed(std::string program, std::string verb, const Entrypoint& start) {
    Invocation call;
    call.program = std::move(program);
    call.verb = std::move(verb);
    call.options["--config"] = start.config;
    return call;
}

Result<void> write_config(const Entrypoint& start) {
    if (file_exists(start.config)) return success();
    TRY_DO(check_directory_of(start.config));
    TRY(const std::string text, first_dispatcher_config(start.config, start.state_dir, environment_variable));
    TRY(const bool made,
        create_missing(start.config, text, 0644, [] { say("Generating ctrl-exec.conf..."); }));
    if (made) say("ctrl-exec.conf written.");
    return success();
}

// Returns an exit code.
int make_certificates(const Entrypoint& start, const DispatcherConfig& config) {
    const bool no_ca = !file_exists(config.ca_dir + "/ca.crt");
    if (!no_ca && file_exists(config.cert) && file_exists(config.key)) return 0;
    if (no_ca) {
        say("First start: initialising CA...");
        Invocation call = as_typed("ctrl-exec-dispatcher", "setup-ca", start);
        call.options["--if-missing"] = "";
        if (const int code = dispatcher_setup_ca(call); code != 0) return code;
    }
    Invocation call = as_typed("ctrl-exec-dispatcher", "setup-ctrl-exec", start);
    call.options["--if-missing"] = "";
    if (const int code = dispatcher_setup_ctrl_exec(call); code != 0) return code;
    say("CA and ctrl-exec cert created.");
    return 0;
}

// What agents' containers join with.
Result<void> keep_join_token(const DispatcherConfig& config) {
    TRY(const auto file, JoinTokenFile::from(environment_variable));
    if (!file) return success();
    TRY(const std::string done, file->keep(config, now_seconds()));
    if (!done.empty()) say(done);
    if (config.pairing == HostedPairing::off)
        print_error_line("[entrypoint] WARNING: pairing = off: agents can join only while pairing-mode runs");
    return success();
}

// For reference only, so nothing depends on it: an image without it has none to copy, and a volume that takes
// no more is met by what does depend on it.
void copy_hook_example(const Entrypoint& start) {
    const std::string copy = directory_of(start.config) + "/auth-hook.example";
    if (file_exists(copy) || !file_exists(hook_example)) return;
    struct stat status {};
    const mode_t mode = ::stat(hook_example, &status) == 0 ? status.st_mode & 0777u : 0644;
    const auto text = read_file(hook_example, max_hook_bytes);
    const auto made = text ? create_missing(copy, *text, mode, nullptr) : Result<bool>(text.error());
    if (!made) {
        print_error_line("[entrypoint] WARNING: " + made.error().text());
    } else if (*made) {
        say(fmt::format("Example auth hook copied to {}", copy));
    }
}

}  // namespace

int start_dispatcher(const Entrypoint& start) {
    if (const auto written = write_config(start); !written) return report_start(written.error());
    const auto config = DispatcherConfig::load(start.config);
    if (!config) return report_start(config.error());
    if (const auto made = make_directories(config->state_dir, 0755); !made) return report_start(made.error());
    if (const auto writable = check_writable(config->state_dir); !writable)
        return report_start(writable.error());
    if (const int code = make_certificates(start, *config); code != 0) return code;
    copy_hook_example(start);
    if (const auto kept = keep_join_token(*config); !kept) return report_start(kept.error());
    if (start.configure_only) return 0;
    say("Starting ctrl-exec-api...");
    return api_serve(as_typed("ctrl-exec-api", "serve", start));
}

}  // namespace ctrlexec
