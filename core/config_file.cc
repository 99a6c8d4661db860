#include "core/config_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "core/byte_size.h"
#include "core/duration.h"
#include "core/file.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

Error bad_line(const std::string& path, int line, std::string_view what) {
    return fail(Errc::config, fmt::format("{}:{}: {}", path, line, what));
}

}  // namespace

bool is_config_key(std::string_view text) {
    return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-' || c == '.';
    });
}

bool has_control_character(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && c != '\t') || byte == 0x7f;
    });
}

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

bool parse_integer(std::string_view text, std::int64_t low, std::int64_t high, std::int64_t& out) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) return false;
    out = value;
    return true;
}

Result<ConfigFile> ConfigFile::parse(std::string path, std::string_view text) {
    ConfigFile file;
    file.path_ = std::move(path);
    std::string section;
    if (text.starts_with("\xef\xbb\xbf"))
        return bad_line(file.path_, 1, "begins with a byte order mark; save it as UTF-8 without one");
    for (int line = 1; !text.empty(); ++line) {
        const auto end = text.find('\n');
        const std::string_view content = trim(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (content.empty() || content.front() == '#') continue;
        if (has_control_character(content)) return bad_line(file.path_, line, "control character; remove it");
        if (content.front() == '[') {
            const std::string_view name =
                trim(content.substr(1, content.size() - std::min<std::size_t>(content.size(), 2)));
            if (content.back() != ']' || !is_config_key(name))
                return bad_line(file.path_, line, "expected '[section]'");
            section = name;
            continue;
        }
        const auto equals = content.find('=');
        const std::string_view key = trim(content.substr(0, equals));
        if (equals == std::string_view::npos || !is_config_key(key)) {
            return bad_line(
                file.path_, line,
                fmt::format("expected 'key = value', found '{}'", printable(content.substr(0, 60))));
        }
        file.entries_.push_back(
            {section, std::string(key), std::string(trim(content.substr(equals + 1))), line, {}});
    }
    return file;
}

Result<ConfigFile> ConfigFile::load(const std::string& path) {
    auto text = read_file(path, max_config_bytes);
    if (!text && text.error().code == Errc::not_found) {
        return fail(Errc::config,
                    fmt::format("{} does not exist; create it, or name another file with --config", path));
    }
    if (!text) return fail(Errc::config, text.error().message);
    return parse(path, *text);
}

const ConfigEntry* ConfigFile::find(std::string_view key) const {
    const auto found = std::find_if(entries_.rbegin(), entries_.rend(),
                                    [&](const ConfigEntry& e) { return e.section.empty() && e.key == key; });
    return found == entries_.rend() ? nullptr : &*found;
}

void ConfigFile::rename(std::string_view old_name, std::string_view key) {
    const auto* old_entry = find(old_name);
    const auto* entry = find(key);
    const bool counts_more =
        entry == nullptr || (entry->variable.empty() && old_entry != nullptr && !old_entry->variable.empty());
    if (old_entry == nullptr || !counts_more) return;
    ConfigEntry renamed = *old_entry;
    renamed.key = key;
    add(std::move(renamed));
}

std::string ConfigFile::where(std::string_view key) const {
    const auto* entry = find(key);
    return entry == nullptr || entry->variable.empty() ? path_ : setting(*entry, {}).origin;
}

Error ConfigFile::bad(const ConfigEntry& entry, std::string_view what) const {
    return fail(Errc::config, fmt::format("{}: {}", setting(entry, {}).origin, what));
}

Error ConfigFile::bad_value(const ConfigEntry& entry, std::string_view expected) const {
    return bad(entry, fmt::format("{} must be {}, not '{}'", entry.key, expected, printable(entry.value)));
}

Setting ConfigFile::setting(const ConfigEntry& entry, std::string key) const {
    if (!entry.variable.empty())
        return {std::move(key), entry.value, SettingSource::environment, "environment " + entry.variable};
    return {std::move(key), entry.value, SettingSource::file, fmt::format("{}:{}", path_, entry.line)};
}

void ConfigFile::note(std::string_view key, std::string value, const ConfigEntry* entry) const {
    Setting noted{std::string(key), {}, SettingSource::fallback, "default"};
    if (entry != nullptr) noted = setting(*entry, std::string(key));
    noted.value = std::move(value);
    read_.insert_or_assign(std::string(key), std::move(noted));
}

std::vector<Setting> ConfigFile::settings(const std::vector<std::string_view>& known) const {
    auto all = read_;
    for (const auto key : known) {
        const auto* entry = find(key);
        all.try_emplace(std::string(key),
                        entry == nullptr ? Setting{std::string(key), {}, SettingSource::fallback, "default"}
                                         : setting(*entry, std::string(key)));
    }
    std::vector<Setting> sorted;
    for (auto& [key, one] : all) sorted.push_back(std::move(one));
    return sorted;
}

std::string ConfigFile::text(std::string_view key, std::string_view fallback) const {
    const auto* entry = find(key);
    if (entry != nullptr && entry->value.empty()) entry = nullptr;
    std::string value(entry == nullptr ? fallback : std::string_view(entry->value));
    note(key, value, entry);
    return value;
}

Result<std::string> ConfigFile::required(std::string_view key) const {
    const auto* entry = find(key);
    if (entry == nullptr)
        return fail(Errc::config, fmt::format("{}: '{}' is missing; add a line '{} = …'", path_, key, key));
    if (entry->value.empty()) return bad(*entry, fmt::format("'{}' has no value", key));
    note(key, entry->value, entry);
    return entry->value;
}

Result<int> ConfigFile::integer(std::string_view key, int fallback, int low, int high) const {
    const auto* entry = find(key);
    std::int64_t value = fallback;
    if (entry != nullptr && !parse_integer(entry->value, low, high, value)) {
        return bad_value(*entry, fmt::format("a number from {} to {}", low, high));
    }
    note(key, std::to_string(value), entry);
    return static_cast<int>(value);
}

Result<std::chrono::milliseconds> ConfigFile::duration(std::string_view key,
                                                       std::chrono::milliseconds fallback,
                                                       std::chrono::milliseconds low,
                                                       std::chrono::milliseconds high) const {
    const auto* entry = find(key);
    const auto value = entry == nullptr ? fallback : parse_duration(entry->value, low, high);
    if (!value) return bad(*entry, fmt::format("{} {}", key, value.error().message));
    note(key, duration_text(*value), entry);
    return value;
}

Result<std::size_t> ConfigFile::byte_size(std::string_view key, std::size_t fallback, std::size_t low,
                                          std::size_t high) const {
    const auto* entry = find(key);
    const auto value = entry == nullptr ? fallback : parse_byte_size(entry->value, low, high);
    if (!value) return bad(*entry, fmt::format("{} {}", key, value.error().message));
    note(key, byte_size_text(*value), entry);
    return value;
}

Result<bool> ConfigFile::boolean(std::string_view key, bool fallback) const {
    const auto* entry = find(key);
    const auto is_one_of = [&](std::initializer_list<std::string_view> words) {
        return std::find(words.begin(), words.end(), entry->value) != words.end();
    };
    bool value = fallback;
    if (entry != nullptr) {
        value = is_one_of({"yes", "true", "on", "1"});
        if (!value && !is_one_of({"no", "false", "off", "0"})) return bad_value(*entry, "yes or no");
    }
    note(key, value ? "yes" : "no", entry);
    return value;
}

Result<std::size_t> ConfigFile::choice(std::string_view key, std::size_t fallback,
                                       std::vector<std::string_view> words) const {
    const auto* entry = find(key);
    std::size_t index = fallback;
    if (entry != nullptr) {
        const auto found = std::find(words.begin(), words.end(), entry->value);
        if (found == words.end()) return bad_value(*entry, fmt::format("{}", fmt::join(words, " or ")));
        index = static_cast<std::size_t>(found - words.begin());
    }
    if (index < words.size()) note(key, std::string(words[index]), entry);
    return index;
}

std::vector<std::string> ConfigFile::unknown_keys(const std::vector<std::string_view>& known) const {
    std::vector<std::string> warnings;
    for (const auto& entry : entries_) {
        if (!entry.section.empty() || !entry.variable.empty() ||
            std::find(known.begin(), known.end(), entry.key) != known.end())
            continue;
        warnings.push_back(fmt::format("{}:{}: unknown key '{}' is ignored", path_, entry.line, entry.key));
    }
    return warnings;
}

}  // namespace ctrlexec
