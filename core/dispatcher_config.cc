#include "core/dispatcher_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/config_environment.h"
#include "core/config_file.h"
#include "core/file.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

// Keys of later releases and of the baseline stand here too, so that a shared file draws no warning.
const std::vector<std::string_view> known_keys{
    "api_auth_default",
    "api_bind",
    "api_cert",
    "api_cors_origins",
    "api_key",
    "api_max_connections",
    "api_max_dispatches",
    "api_port",
    "api_rate_limit",
    "auth_hook",
    "auth_hook_timeout",
    "auth_policy",
    "ca",
    "ca_dir",
    "ca_passphrase_file",
    "cert",
    "cert_check_interval",
    "cert_days",
    "cert_overlap_days",
    "cert_renewal_days",
    "confirm_above",
    "connect_timeout",
    "groups_file",
    "key",
    "key_type",
    "log_format",
    "max_parallel",
    "pairing",
    "pairing_allow_cn_mismatch",
    "pairing_bind",
    "pairing_max_queue",
    "pairing_min",
    "pairing_port",
    "pairing_rate_limit",
    "port",
    "read_timeout",
    "shutdown_grace",
    "state_dir",
    "timeout",
};

// Blanks or commas in between. Compared with the Origin header as text, so it must be written as browsers
// write it.
Result<std::vector<std::string>> read_origins(const ConfigFile& file) {
    std::vector<std::string> origins;
    const std::string text = file.text("api_cors_origins");
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find_first_of(", \t", at), text.size());
        const std::string origin = text.substr(at, end - at);
        at = end + 1;
        if (origin.empty()) continue;
        const auto scheme = origin.find("://");
        const bool usable = (origin.starts_with("http://") || origin.starts_with("https://")) &&
                            origin.find('/', scheme + 3) == std::string::npos && origin.size() > scheme + 3;
        if (!usable) {
            return fail(
                Errc::config,
                fmt::format("{}: api_cors_origins: '{}' is no origin, such as https://console.example.net",
                            file.where("api_cors_origins"), printable(origin)));
        }
        origins.push_back(origin);
    }
    return origins;
}

}  // namespace

ConfigPlaces DispatcherConfig::places() {
    return {dispatcher_variables, default_dispatcher_config, known_keys};
}

Result<DispatcherConfig> DispatcherConfig::load(const std::string& path) {
    TRY(ConfigFile file, load_config(path, places()));

    DispatcherConfig config;
    config.path = path;
    TRY(config.cert, file.required("cert"));
    TRY(config.key, file.required("key"));
    TRY(config.ca, file.required("ca"));
    config.ca_dir = file.text("ca_dir", directory_of(config.ca));
    config.ca_passphrase_file = file.text("ca_passphrase_file");
    config.state_dir = file.text("state_dir", "/var/lib/ctrl-exec");
    TRY(const std::size_t type, file.choice("key_type", 0, {"ecdsa", "rsa"}));
    config.key_type = type == 0 ? KeyType::ecdsa : KeyType::rsa;
    TRY(config.port, file.integer("port", config.port, 1, 65535));
    config.pairing_bind = file.text("pairing_bind");
    TRY(config.pairing_port, file.integer("pairing_port", config.pairing_port, 0, 65535));
    TRY(config.pairing_max_queue, file.integer("pairing_max_queue", config.pairing_max_queue, 1, 10000));
    TRY(config.pairing_allow_cn_mismatch, file.boolean("pairing_allow_cn_mismatch", false));
    TRY(const std::size_t hosted, file.choice("pairing", 0, {"tokens", "on", "off"}));
    config.pairing = static_cast<HostedPairing>(hosted);
    TRY(const std::size_t lowest, file.choice("pairing_min", 0, {"legacy", "v2", "token"}));
    config.pairing_min = static_cast<PairingMin>(lowest);
    TRY(config.pairing_rate_limit,
        read_optional_rate_limit(file, "pairing_rate_limit", *config.pairing_rate_limit));
    if (file.is_set("timeout")) TRY_DO(file.integer("timeout", 0, 1, 86400));
    file.rename("timeout", "read_timeout");
    TRY(config.read_timeout, file.integer("read_timeout", config.read_timeout, 1, 86400));
    TRY(config.connect_timeout, file.integer("connect_timeout", config.connect_timeout, 1, 600));
    TRY(config.max_parallel, file.integer("max_parallel", config.max_parallel, 1, 100000));
    config.groups_file_is_set = file.is_set("groups_file");
    config.groups_file = file.text("groups_file", directory_of(path) + "/groups.conf");
    TRY(config.confirm_above, file.integer("confirm_above", config.confirm_above, 0, 1'000'000));
    TRY(config.cert_days, file.integer("cert_days", config.cert_days, 1, 36500));
    TRY(config.cert_renewal_days, file.integer("cert_renewal_days", config.cert_renewal_days, 1, 36500));
    TRY(config.cert_overlap_days, file.integer("cert_overlap_days", config.cert_overlap_days, 1, 3650));
    config.auth_hook = file.text("auth_hook");
    TRY(config.auth_hook_timeout, file.integer("auth_hook_timeout", config.auth_hook_timeout, 1, 3600));
    TRY(config.cert_check_interval,
        file.integer("cert_check_interval", config.cert_check_interval, 1, 31536000));
    config.auth_policy = file.text("auth_policy");
    config.api_bind = file.text("api_bind", config.api_bind);
    TRY(config.api_port, file.integer("api_port", config.api_port, 0, 65535));
    config.api_cert = file.text("api_cert");
    config.api_key = file.text("api_key");
    TRY(const std::size_t fallback, file.choice("api_auth_default", 0, {"deny", "allow"}));
    config.api_allow_all = fallback == 1;
    TRY(config.api_max_connections,
        file.integer("api_max_connections", config.api_max_connections, 1, 1'000'000));
    TRY(config.api_max_dispatches, file.integer("api_max_dispatches", config.api_max_dispatches, 1, 100'000));
    TRY(config.api_rate_limit, read_optional_rate_limit(file, "api_rate_limit", *config.api_rate_limit));
    TRY(config.api_cors_origins, read_origins(file));
    TRY(config.shutdown_grace, file.integer("shutdown_grace", config.shutdown_grace, 0, 3600));
    TRY(config.log_format, read_log_format(file));
    config.settings = file.settings(known_keys);
    config.warnings = file.unknown_keys(known_keys);
    return config;
}

}  // namespace ctrlexec
