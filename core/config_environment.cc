#include "core/config_environment.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

namespace ctrlexec {
namespace {

constexpr std::array<std::string_view, 3> required_keys{"cert", "key", "ca"};  // of both roles

bool is_missing(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) != 0 && errno == ENOENT;
}

// The variables of required keys that are not among the entries.
std::vector<std::string> missing_variables(std::string_view prefix, const std::vector<ConfigEntry>& entries) {
    std::vector<std::string> missing;
    for (const auto key : required_keys) {
        const bool is_set = std::any_of(entries.begin(), entries.end(),
                                        [&](const ConfigEntry& entry) { return entry.key == key; });
        if (!is_set) missing.push_back(variable_of(prefix, key));
    }
    return missing;
}

Result<ConfigFile> load_file(const std::string& path, const ConfigPlaces& places,
                             const std::vector<ConfigEntry>& entries) {
    if (path != places.default_path || !is_missing(path)) return ConfigFile::load(path);
    const auto missing = missing_variables(places.prefix, entries);
    if (missing.empty()) return ConfigFile::parse(path, "");
    if (missing.size() == required_keys.size()) return ConfigFile::load(path);
    return fail(Errc::config, fmt::format("{} does not exist; create it, name another file with --config, or "
                                          "set {} too",
                                          path, fmt::join(missing, " and ")));
}

// CTRL_EXEC_AGENT_PORT=tcp://10.0.0.7:7443 is what Kubernetes and old Docker links put into every container
// beside a service named ctrl-exec-agent.
bool is_service_link(std::string_view key, std::string_view value) {
    return key.ends_with("port") && (value.starts_with("tcp://") || value.starts_with("udp://"));
}

}  // namespace

std::string variable_of(std::string_view prefix, std::string_view key) {
    std::string name(prefix);
    for (const char c : key) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return name;
}

Result<std::optional<std::string>> read_variable(const std::string& name) {
    const char* const text = std::getenv(name.c_str());
    const std::string_view value = trim(text == nullptr ? "" : text);
    if (value.empty()) return std::optional<std::string>();
    if (value.size() > max_variable_bytes) {
        return fail(Errc::config, fmt::format("environment {}: longer than {} bytes; shorten it, or use the "
                                              "configuration file",
                                              name, max_variable_bytes));
    }
    if (has_control_character(value)) {
        return fail(Errc::config, fmt::format("environment {}: control character; remove it", name));
    }
    return std::optional<std::string>(value);
}

Result<ConfigFile> load_config(const std::string& path, const ConfigPlaces& places) {
    std::vector<ConfigEntry> entries;
    for (const auto key : places.known) {
        std::string variable = variable_of(places.prefix, key);
        TRY(auto value, read_variable(variable));
        if (value && !is_service_link(key, *value))
            entries.push_back({{}, std::string(key), std::move(*value), 0, std::move(variable)});
    }
    TRY(ConfigFile file, load_file(path, places, entries));
    for (auto& entry : entries) file.add(std::move(entry));
    return file;
}

namespace {

// Variables of ours that begin as those of ctrl-exec.conf do. Pins are for agents, which may run beside.
bool is_no_setting(std::string_view name) {
    return name == "CTRL_EXEC_LOG" || name == "CTRL_EXEC_CA_PIN" || name == "CTRL_EXEC_CA_PIN_FILE";
}

}  // namespace

std::vector<std::string> useless_variables(const ConfigPlaces& places) {
    std::vector<std::string> useless;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string_view text = *variable;
        const std::string_view name = text.substr(0, text.find('='));
        if (!name.starts_with(places.prefix) || is_no_setting(name)) continue;
        if (places.prefix != agent_variables && name.starts_with(agent_variables)) continue;
        const bool counts = std::any_of(places.known.begin(), places.known.end(), [&](std::string_view key) {
            return variable_of(places.prefix, key) == name &&
                   !is_service_link(key, text.substr(std::min(name.size() + 1, text.size())));
        });
        if (!counts) useless.emplace_back(name);
    }
    std::sort(useless.begin(), useless.end());
    return useless;
}

}  // namespace ctrlexec
