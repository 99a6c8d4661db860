// "key = value" files with optional [sections] and # comments on lines of their own.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/setting.h"

namespace ctrlexec {

inline constexpr std::size_t max_config_bytes = 1u << 20;

struct ConfigEntry {
    std::string section;  // "" before the first [section]
    std::string key;
    std::string value;     // trimmed; may be empty
    int line = 0;          // in the file
    std::string variable;  // the environment variable that says it instead of a line
};

class ConfigFile {
  public:
    // Errc::config with "PATH:LINE: what; remedy" for the first line that is neither blank, comment,
    // [section] nor "key = value", and for control characters.
    static Result<ConfigFile> parse(std::string path, std::string_view text);

    // Reads and parses; a missing or unreadable file is Errc::config too.
    static Result<ConfigFile> load(const std::string& path);

    // Counts more than what the file says: settings from elsewhere are added after it.
    void add(ConfigEntry entry) { entries_.push_back(std::move(entry)); }

    // What `old_name` says becomes what `key` says, unless `key` is set where it counts at least as much.
    void rename(std::string_view old_name, std::string_view key);

    // Values of the top section; a key that is set twice has its last value (entrypoints append).
    std::string text(std::string_view key, std::string_view fallback = {}) const;
    Result<std::string> required(std::string_view key) const;
    Result<int> integer(std::string_view key, int fallback, int low, int high) const;
    Result<std::chrono::milliseconds> duration(std::string_view key, std::chrono::milliseconds fallback,
                                               std::chrono::milliseconds low,
                                               std::chrono::milliseconds high) const;
    Result<std::size_t> byte_size(std::string_view key, std::size_t fallback, std::size_t low,
                                  std::size_t high) const;
    Result<bool> boolean(std::string_view key, bool fallback) const;  // yes/no, true/false, on/off, 1/0
    // One of `words`, returned as its index.
    Result<std::size_t> choice(std::string_view key, std::size_t fallback,
                               std::vector<std::string_view> words) const;

    // "PATH:LINE: unknown key …" for each top-section key that is not in `known`.
    std::vector<std::string> unknown_keys(const std::vector<std::string_view>& known) const;

    // What was read so far, and of `known` what was not, sorted by key.
    std::vector<Setting> settings(const std::vector<std::string_view>& known) const;
    Setting setting(const ConfigEntry& entry, std::string key) const;

    const std::vector<ConfigEntry>& entries() const { return entries_; }
    const std::string& path() const { return path_; }
    bool is_set(std::string_view key) const { return find(key) != nullptr; }

    // Begins a message about the value of `key`: the file's path, or the variable that sets it.
    std::string where(std::string_view key) const;

  private:
    const ConfigEntry* find(std::string_view key) const;
    Error bad(const ConfigEntry& entry, std::string_view what) const;
    Error bad_value(const ConfigEntry& entry, std::string_view expected) const;
    void note(std::string_view key, std::string value, const ConfigEntry* entry) const;

    std::string path_;
    std::vector<ConfigEntry> entries_;
    // Kept while reading, so that `config show` can never know other keys or defaults than the program.
    mutable std::map<std::string, Setting, std::less<>> read_;
};

// 1 to 64 letters, digits, '_', '-' and '.'.
bool is_config_key(std::string_view text);

// Tabs may stand in a value, other control characters may not.
bool has_control_character(std::string_view text);

// Blanks (space, tab, CR) removed at both ends.
std::string_view trim(std::string_view text);

// The whole text as a decimal number in [low, high].
bool parse_integer(std::string_view text, std::int64_t low, std::int64_t high, std::int64_t& out);

}  // namespace ctrlexec
