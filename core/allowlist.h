// scripts.conf: which scripts may run, by name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/approved_program.h"
#include "core/result.h"
#include "core/script_settings.h"

namespace ctrlexec {

bool is_valid_script_name(std::string_view name);  // [A-Za-z0-9_-]+, at most 128

// The reason why a line with these two cannot be used, or nothing.
std::optional<std::string> entry_problem(std::string_view name, std::string_view path);

struct ScriptEntry {
    std::string path;
    ScriptSettings settings;

    bool operator==(const ScriptEntry&) const = default;
};

class Allowlist {
  public:
    // "name = /absolute/path SETTINGS" lines. A bad line is skipped and reported in warnings() with file and
    // line: one typing error must not take every script away. Bad settings take the name's earlier line
    // along, since the script must not run as that says either.
    static Allowlist parse(const std::string& path, std::string_view text);
    // A missing or unreadable file is Errc::config.
    static Result<Allowlist> load(const std::string& path);

    // Errc::denied "script not permitted" unless `name` is listed and, when `script_dirs` is not empty, its
    // path with every symlink resolved lies below one of them. Looks at the file system: call it at the time
    // of execution.
    Result<ApprovedProgram> approve(std::string_view name, const std::vector<std::string>& script_dirs) const;

    // Whether approve() would permit it, its settings can be met here, and its file can be executed by us;
    // the error says why not.
    Result<void> check_runnable(std::string_view name, const std::vector<std::string>& script_dirs) const;

    const std::map<std::string, ScriptEntry>& scripts() const { return scripts_; }  // by name
    // Of the script of that name; none when it is not listed.
    const ScriptSettings& settings(std::string_view name) const;
    const std::vector<std::string>& warnings() const { return warnings_; }

  private:
    std::optional<std::string> add(std::string_view name, std::string_view target);

    std::map<std::string, ScriptEntry> scripts_;
    std::vector<std::string> warnings_;
};

}  // namespace ctrlexec
