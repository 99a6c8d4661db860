#include "core/dispatcher_config.h"

#include "core/config_file.h"
#include "core/file.h"

namespace ctrlexec {
namespace {

// Keys of later releases and of the baseline stand here too, so that a shared file draws no warning.
const std::vector<std::string_view> known_keys{
    "api_auth_default",
    "api_bind",
    "api_cert",
    "api_key",
    "api_port",
    "auth_hook",
    "auth_hook_timeout",
    "ca",
    "ca_dir",
    "cert",
    "cert_check_interval",
    "cert_days",
    "cert_overlap_days",
    "cert_renewal_days",
    "connect_timeout",
    "key",
    "key_type",
    "max_parallel",
    "pairing_allow_cn_mismatch",
    "pairing_bind",
    "pairing_max_queue",
    "pairing_port",
    "port",
    "read_timeout",
    "state_dir",
    "timeout",
};

}  // namespace

Result<DispatcherConfig> DispatcherConfig::load(const std::string& path) {
    TRY(const ConfigFile file, ConfigFile::load(path));

    DispatcherConfig config;
    config.path = path;
    TRY(config.cert, file.required("cert"));
    TRY(config.key, file.required("key"));
    TRY(config.ca, file.required("ca"));
    config.ca_dir = file.text("ca_dir", directory_of(config.ca));
    config.state_dir = file.text("state_dir", "/var/lib/ctrl-exec");
    TRY(const std::size_t type, file.choice("key_type", 0, {"ecdsa", "rsa"}));
    config.key_type = type == 0 ? KeyType::ecdsa : KeyType::rsa;
    TRY(config.port, file.integer("port", config.port, 1, 65535));
    config.pairing_bind = file.text("pairing_bind");
    TRY(config.pairing_port, file.integer("pairing_port", config.pairing_port, 0, 65535));
    TRY(config.pairing_max_queue, file.integer("pairing_max_queue", config.pairing_max_queue, 1, 10000));
    TRY(config.pairing_allow_cn_mismatch, file.boolean("pairing_allow_cn_mismatch", false));
    TRY(const int old_name, file.integer("timeout", config.read_timeout, 1, 86400));
    TRY(config.read_timeout, file.integer("read_timeout", old_name, 1, 86400));
    TRY(config.connect_timeout, file.integer("connect_timeout", config.connect_timeout, 1, 600));
    TRY(config.max_parallel, file.integer("max_parallel", config.max_parallel, 1, 100000));
    TRY(config.cert_days, file.integer("cert_days", config.cert_days, 1, 36500));
    config.auth_hook = file.text("auth_hook");
    TRY(config.auth_hook_timeout, file.integer("auth_hook_timeout", config.auth_hook_timeout, 1, 3600));
    config.warnings = file.unknown_keys(known_keys);
    return config;
}

}  // namespace ctrlexec
