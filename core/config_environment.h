// Settings from the environment, which count more than those of the configuration file: read_timeout of
// ctrl-exec.conf is CTRL_EXEC_READ_TIMEOUT, port of agent.conf is CTRL_EXEC_AGENT_PORT.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config_file.h"
#include "core/result.h"

namespace ctrlexec {

// Each key of a role in upper case after this. What begins with the agent's belongs to the agent alone, and
// CTRL_EXEC_LOG is no key: it says where the log goes (core/log.h).
inline constexpr std::string_view dispatcher_variables = "CTRL_EXEC_";
inline constexpr std::string_view agent_variables = "CTRL_EXEC_AGENT_";

inline constexpr std::size_t max_variable_bytes = 4096;

// Where the settings of a role may stand.
struct ConfigPlaces {
    std::string_view prefix;        // of its variables
    std::string_view default_path;  // of its file
    const std::vector<std::string_view>& known;
};

// The file with the environment laid over it. The file may be missing at the default path when variables set
// all keys that are required. Errc::config.
Result<ConfigFile> load_config(const std::string& path, const ConfigPlaces& places);

std::string variable_of(std::string_view prefix, std::string_view key);

// Names that begin with the prefix and set nothing, sorted: typing errors, or made by the container engine
// for a service of our name (CTRL_EXEC_PORT=tcp://…, which is ignored).
std::vector<std::string> useless_variables(const ConfigPlaces& places);

// The trimmed value; nothing when the variable is not set or empty. Errc::config, naming the variable, when
// it is too long or holds a control character.
Result<std::optional<std::string>> read_variable(const std::string& name);

}  // namespace ctrlexec
