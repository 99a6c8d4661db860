#include "core/agent_config.h"

#include <fmt/format.h>
#include <unistd.h>

#include <string_view>

#include "core/agent_tags.h"
#include "core/config_environment.h"
#include "core/config_file.h"
#include "core/duration.h"
#include "core/hostname.h"
#include "core/run_bounds.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

// Keys of later releases and of the baseline stand here too, so that a shared file draws no warning.
const std::vector<std::string_view> known_keys{
    "allowed_ips",
    "auth_hook",
    "auth_hook_timeout",
    "bind",
    "ca",
    "cert",
    "config_dir",
    "dispatcher_serial_path",
    "hostname",
    "legacy_output_cap",
    "key",
    "key_type",
    "kill_grace",
    "log_format",
    "max_connections",
    "max_runs",
    "output_limit",
    "pair_trust",
    "port",
    "rate_limit_disable",
    "rate_limit_probe",
    "rate_limit_volume",
    "revoked_serials",
    "run_timeout",
    "script_dirs",
    "shutdown_grace",
    "state_dir",
    "stdin_timeout",
};

std::string machine_name() {
    char name[256] = {};
    if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "localhost";
    return name;
}

// It becomes the name in the certificate and the name of a file on the dispatcher.
Result<std::string> read_hostname(const ConfigFile& file) {
    constexpr std::size_t max_common_name = 64;  // RFC 5280, ub-common-name
    const std::string name = file.text("hostname", machine_name());
    if (is_valid_hostname(name) && name.size() <= max_common_name) return name;
    return fail(Errc::config,
                fmt::format("{}: hostname '{}' cannot be used; set one of letters, digits, '.', '-' and "
                            "'_', at most {} long",
                            file.where("hostname"), printable(name.substr(0, 80)), max_common_name));
}

// A value that names no directory would permit every one, and what a relative one permits would depend on
// where the agent was started.
Result<std::vector<std::string>> split_directories(const std::string& where, std::string_view text) {
    const Error bad =
        fail(Errc::config, fmt::format("{}: script_dirs must be absolute paths with ':' in between, not '{}'",
                                       where, printable(text)));
    std::vector<std::string> directories;
    const bool given = !text.empty();
    while (!text.empty()) {
        const auto colon = text.find(':');
        const auto part = trim(text.substr(0, colon));
        if (!part.empty() && part.front() != '/') return bad;
        if (!part.empty()) directories.emplace_back(part);
        text.remove_prefix(colon == std::string_view::npos ? text.size() : colon + 1);
    }
    if (given && directories.empty()) return bad;
    return directories;
}

Result<void> read_run_limits(const ConfigFile& file, AgentConfig& config) {
    constexpr std::chrono::milliseconds none(0);
    TRY(config.run_timeout, file.duration("run_timeout", config.run_timeout, none, max_duration));
    TRY(config.kill_grace, file.duration("kill_grace", config.kill_grace, none, max_kill_grace));
    TRY(config.output_limit,
        file.byte_size("output_limit", config.output_limit, min_output_limit, max_output_limit));
    TRY(config.max_runs, file.integer("max_runs", config.max_runs, 1, 100000));
    return success();
}

}  // namespace

ConfigPlaces AgentConfig::places() {
    return {agent_variables, default_agent_config, known_keys};
}

Result<AgentConfig> AgentConfig::load(const std::string& path) {
    TRY(ConfigFile file, load_config(path, places()));
    TRY_DO(add_environment_tags(file));

    AgentConfig config;
    config.path = path;
    TRY(config.cert, file.required("cert"));
    TRY(config.key, file.required("key"));
    TRY(config.ca, file.required("ca"));
    config.config_dir = file.text("config_dir", "/etc/ctrl-exec-agent");
    config.state_dir = file.text("state_dir", "/var/lib/ctrl-exec-agent");
    config.dispatcher_serial_path =
        file.text("dispatcher_serial_path", config.config_dir + "/ctrl-exec-serial");
    config.allowlist = config.config_dir + "/scripts.conf";
    TRY(config.hostname, read_hostname(file));
    config.bind = file.text("bind");
    TRY(config.port, file.integer("port", config.port, 0, 65535));
    TRY(const std::size_t type, file.choice("key_type", 0, {"ecdsa", "rsa"}));
    config.key_type = type == 0 ? KeyType::ecdsa : KeyType::rsa;
    TRY(config.script_dirs, split_directories(file.where("script_dirs"), file.text("script_dirs")));
    TRY(config.stdin_timeout, file.integer("stdin_timeout", config.stdin_timeout, 1, 86400));
    TRY(config.max_connections, file.integer("max_connections", config.max_connections, 1, 100000));
    config.auth_hook = file.text("auth_hook");
    TRY(config.auth_hook_timeout, file.integer("auth_hook_timeout", config.auth_hook_timeout, 1, 3600));
    config.revoked_serials = file.text("revoked_serials", config.config_dir + "/revoked-serials");
    auto allowed = AddressList::parse(file.text("allowed_ips"));
    if (!allowed)
        return fail(Errc::config, file.where("allowed_ips") + ": allowed_ips: " + allowed.error().message);
    config.allowed_ips = std::move(*allowed);
    TRY(config.rate_limit_volume, read_rate_limit(file, "rate_limit_volume", config.rate_limit_volume));
    TRY(config.rate_limit_probe, read_rate_limit(file, "rate_limit_probe", config.rate_limit_probe));
    TRY(config.rate_limit_disable, file.boolean("rate_limit_disable", false));
    TRY(config.shutdown_grace, file.integer("shutdown_grace", config.shutdown_grace, 0, 3600));
    TRY_DO(read_run_limits(file, config));
    TRY(config.log_format, read_log_format(file));
    TRY(const std::size_t trust, file.choice("pair_trust", 0, {"tofu", "sas", "pin", "token"}));
    config.pair_trust = static_cast<PairTrust>(trust);
    TRY(config.legacy_output_cap, file.boolean("legacy_output_cap", true));
    std::map<std::string, Setting> tags;
    for (const auto& entry : file.entries()) {
        if (entry.section != "tags") continue;
        config.tags[entry.key] = entry.value;
        tags[entry.key] = file.setting(entry, "tags." + entry.key);
    }
    config.settings = file.settings(known_keys);
    for (auto& [key, tag] : tags) config.settings.push_back(std::move(tag));
    config.warnings = file.unknown_keys(known_keys);
    return config;
}

}  // namespace ctrlexec
