#include "core/allowlist.h"

#include <fmt/format.h>
#include <stdlib.h>  // NOLINT: realpath is POSIX, not ISO C++
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>

#include "core/config_file.h"
#include "core/file.h"
#include "core/script_plan.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

bool lies_below(const std::string& path, const std::string& directory) {
    const std::string prefix = directory == "/" ? directory : directory + "/";
    return path.compare(0, prefix.size(), prefix) == 0;
}

Result<void> check_settings(const ApprovedProgram& program, const ScriptSettings& settings) {
    if (settings == ScriptSettings()) return success();
    TRY(const SpawnPlan plan, plan_script(program, settings));
    struct stat status {};
    if (::stat(plan.directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))
        return fail(
            Errc::config,
            fmt::format("the working directory {} of this script is not there; make it, or correct cwd=",
                        printable(plan.directory)));
    return success();
}

}  // namespace

std::optional<std::string> entry_problem(std::string_view name, std::string_view path) {
    if (!is_valid_script_name(name)) {
        return fmt::format("script name '{}' may hold only letters, digits, '_' and '-'",
                           printable(name.substr(0, 60)));
    }
    if (path.empty() || path.front() != '/') return fmt::format("the path of '{}' must be absolute", name);
    if (path.size() > 4000) return fmt::format("the path of '{}' is too long", name);
    return std::nullopt;
}

bool is_valid_script_name(std::string_view name) {
    return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-';
    });
}

// Why the line cannot be used, or nothing.
std::optional<std::string> Allowlist::add(std::string_view name, std::string_view target) {
    const auto [path, text] = split_settings(target);
    if (auto problem = entry_problem(name, path)) return problem;
    auto settings = parse_settings(text);
    if (settings) {
        scripts_.insert_or_assign(std::string(name), ScriptEntry{std::string(path), std::move(*settings)});
        return std::nullopt;
    }
    const bool earlier = scripts_.erase(std::string(name)) != 0;
    return fmt::format("{}: {}{}", name, settings.error().message,
                       earlier ? "; the earlier line of that name does not count either" : "");
}

Allowlist Allowlist::parse(const std::string& path, std::string_view text) {
    Allowlist list;
    for (int line = 1; !text.empty(); ++line) {
        const auto end = text.find('\n');
        const std::string_view content = trim(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (content.empty() || content.front() == '#') continue;
        const auto equals = content.find('=');
        std::optional<std::string> problem;
        if (equals == std::string_view::npos) {
            problem = "expected 'name = /absolute/path'";
        } else if (content.find('\0') != std::string_view::npos) {
            problem = "NUL byte";
        } else {
            problem = list.add(trim(content.substr(0, equals)), trim(content.substr(equals + 1)));
        }
        if (problem)
            list.warnings_.push_back(fmt::format("{}:{}: {}; the line is skipped", path, line, *problem));
    }
    return list;
}

const ScriptSettings& Allowlist::settings(std::string_view name) const {
    static const ScriptSettings none;
    const auto found = scripts_.find(std::string(name));
    return found == scripts_.end() ? none : found->second.settings;
}

Result<Allowlist> Allowlist::load(const std::string& path) {
    auto text = read_file(path, max_config_bytes);
    if (!text) return fail(Errc::config, text.error().message);
    return parse(path, *text);
}

Result<ApprovedProgram> Allowlist::approve(std::string_view name,
                                           const std::vector<std::string>& script_dirs) const {
    const auto found = scripts_.find(std::string(name));
    if (found == scripts_.end()) return fail(Errc::denied, "script not permitted", "not in the allowlist");
    if (script_dirs.empty()) return ApprovedProgram(found->second.path);
    const auto resolved = resolve_path(found->second.path);
    if (!resolved)
        return fail(Errc::denied, "script not permitted", found->second.path + " cannot be resolved");
    const bool inside =
        std::any_of(script_dirs.begin(), script_dirs.end(), [&](const std::string& directory) {
            const auto real = resolve_path(directory);
            return real && lies_below(*resolved, *real);
        });
    if (!inside) return fail(Errc::denied, "script not permitted", *resolved + " lies outside script_dirs");
    // The listed path, not the resolved one: programs that look at argv[0] must see the name they were listed
    // by. Whoever could swap the symlink meanwhile may write to a trusted directory anyway.
    return ApprovedProgram(found->second.path);
}

Result<void> Allowlist::check_runnable(std::string_view name,
                                       const std::vector<std::string>& script_dirs) const {
    TRY(const ApprovedProgram program, approve(name, script_dirs));
    TRY_DO(check_settings(program, settings(name)));
    struct stat status {};
    if (::stat(program.path().c_str(), &status) != 0) return errno_error("run", program.path(), errno);
    if (!S_ISREG(status.st_mode)) return fail(Errc::io, program.path() + " is not a regular file");
    if (::access(program.path().c_str(), X_OK) != 0) {
        return fail(Errc::io, fmt::format("{0} is not executable; run `chmod +x {0}`", program.path()));
    }
    return success();
}

}  // namespace ctrlexec
