// What may follow the path of a script in scripts.conf: `timeout=30s user=backup env=KEY:value …`.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ctrlexec {

struct ScriptSettings {
    std::optional<std::chrono::milliseconds> timeout;
    std::optional<std::chrono::milliseconds> kill_grace;  // between TERM and KILL; 0: KILL at once
    std::optional<std::size_t> output_limit;              // bytes kept of each stream
    std::optional<int> concurrency;                       // runs of it at the same time
    std::string user, group;                              // names or numbers; "" for the agent's own
    std::string cwd;                                      // absolute; "" for /
    std::vector<std::string> environment;                 // KEY=value; no key twice
    std::optional<mode_t> umask;
    std::optional<int> nice;

    bool operator==(const ScriptSettings&) const = default;
};

// What stands after the `=` of a line: a path, which may hold blanks, and settings, which begin with the
// first word of the form `[a-z_]+=`. Both trimmed.
struct PathAndSettings {
    std::string_view path;
    std::string_view settings;
};
PathAndSettings split_settings(std::string_view text);

// Settings with blanks in between; a value that holds blanks, quotes or backslashes stands in double quotes,
// in which \" and \\ are one character. Errc::config, with the setting and the remedy, for anything else: an
// unknown setting, one that is there twice (but env), a bad value.
Result<ScriptSettings> parse_settings(std::string_view text);

// `key=value` as somebody gave it to a shell, which took the quotes away, as it must stand in the file.
std::string quoted_setting(std::string_view setting);

}  // namespace ctrlexec
