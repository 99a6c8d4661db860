#include "core/allowlist_edit.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "core/allowlist.h"
#include "core/config_file.h"
#include "core/file.h"

namespace ctrlexec {
namespace {

constexpr mode_t new_file_mode = 0644;

// The script's name that a line sets, "" when it sets none.
std::string_view name_in(std::string_view line) {
    const std::string_view content = trim(line);
    const auto equals = content.find('=');
    if (content.empty() || content.front() == '#' || equals == std::string_view::npos) return {};
    return trim(content.substr(0, equals));
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const auto end = text.find('\n');
        lines.push_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return lines;
}

// `replacement` takes the place of the name's last line; all others of that name go.
std::string without(std::string_view text, std::string_view name,
                    const std::optional<std::string>& replacement) {
    const auto lines = lines_of(text);
    std::size_t last = lines.size();
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (name_in(lines[i]) == name) last = i;
    }
    std::string out;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (i == last && replacement) {
            out += *replacement + "\n";
        } else if (name_in(lines[i]) != name) {
            out += fmt::format("{}\n", lines[i]);
        }
    }
    if (last == lines.size() && replacement) out += *replacement + "\n";
    return out;
}

struct LockedFile {
    FileLock lock;
    bool exists = false;
    std::string text;
};

Result<LockedFile> open_locked(const std::string& file) {
    const auto slash = file.rfind('/');
    const std::string base = slash == std::string::npos ? file : file.substr(slash + 1);
    TRY(FileLock lock,
        FileLock::acquire(fmt::format("{}/.{}.lock", directory_of(file), base), FileLock::Wait::yes));
    auto text = read_file(file, max_config_bytes);
    if (!text && text.error().code != Errc::not_found) return std::move(text).error();
    const bool exists = text.has_value();
    return LockedFile{std::move(lock), exists, exists ? std::move(*text) : std::string()};
}

bool names(std::string_view text, std::string_view name) {
    for (const auto line : lines_of(text)) {
        if (name_in(line) == name) return true;
    }
    return false;
}

// What the name's last line says after its path.
std::string_view settings_in(std::string_view text, std::string_view name) {
    std::string_view found;
    for (const auto line : lines_of(text)) {
        if (name_in(line) == name) found = split_settings(line.substr(line.find('=') + 1)).settings;
    }
    return found;
}

Result<std::string> new_line(std::string_view name, std::string_view path, std::string_view settings) {
    if (const auto problem = entry_problem(name, path)) return fail(Errc::usage, *problem);
    const auto parsed = parse_settings(settings);
    if (!parsed) return fail(Errc::usage, fmt::format("{}: {}", name, parsed.error().message));
    std::string line = fmt::format("{} = {}{}{}", name, path, settings.empty() ? "" : " ", settings);
    // What would be read back otherwise than it was given: line breaks, blanks at the end.
    const Allowlist accepted = Allowlist::parse("the new line", line);
    const auto found = accepted.scripts().find(std::string(name));
    if (found == accepted.scripts().end() || found->second != ScriptEntry{std::string(path), *parsed})
        return fail(Errc::usage,
                    fmt::format("the path of '{}' has a blank at its end, a line break, or a word that "
                                "begins like a setting; name a symlink to it",
                                name));
    return line;
}

}  // namespace

Result<std::string> allowed_in(std::string_view text, std::string_view name, std::string_view path,
                               std::string_view settings) {
    TRY(const std::string given, new_line(name, path, settings));
    const std::string_view kept = settings.empty() ? settings_in(text, name) : std::string_view();
    if (kept.empty()) return without(text, name, given);
    const auto line = new_line(name, path, kept);
    if (line) return without(text, name, *line);
    return fail(Errc::config, fmt::format("{} (in the line that is there now; give the settings anew)",
                                          line.error().message));
}

std::string disallowed_in(std::string_view text, std::string_view name) {
    return without(text, name, std::nullopt);
}

Result<AllowlistChange> allow_in_file(const std::string& file, std::string_view name, std::string_view path,
                                      std::string_view settings) {
    if (const auto line = allowed_in({}, name, path, settings); !line)
        return line.error();  // before a lock file is made
    TRY(const LockedFile before, open_locked(file));
    const bool known = names(before.text, name);
    TRY(const std::string after, allowed_in(before.text, name, path, settings));
    const auto old_scripts = Allowlist::parse(file, before.text).scripts();
    const auto old = old_scripts.find(std::string(name));
    const ScriptEntry entry = Allowlist::parse(file, after).scripts().at(std::string(name));
    if (old != old_scripts.end() && old->second == entry) return AllowlistChange::none;
    if (after.size() > max_config_bytes)
        return fail(Errc::too_large,
                    fmt::format("{} would become larger than {} bytes", file, max_config_bytes));
    TRY_DO(replace_file_atomic(file, after, new_file_mode));
    return known ? AllowlistChange::replaced : AllowlistChange::added;
}

Result<AllowlistChange> disallow_in_file(const std::string& file, std::string_view name) {
    TRY(const LockedFile before, open_locked(file));
    if (!names(before.text, name)) return AllowlistChange::none;
    TRY_DO(replace_file_atomic(file, disallowed_in(before.text, name), new_file_mode));
    return AllowlistChange::removed;
}

}  // namespace ctrlexec
