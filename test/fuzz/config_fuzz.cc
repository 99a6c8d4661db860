// ConfigFile, both typed configurations and the allowlist, given the same text: each entry is really on its
// line, each complaint names the line that deserves it, and what is accepted lies within its bounds.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "core/agent_config.h"
#include "core/allowlist.h"
#include "core/byte_size.h"
#include "core/config_file.h"
#include "core/dispatcher_config.h"
#include "core/duration.h"
#include "core/host_groups.h"
#include "core/run_bounds.h"
#include "core/unique_fd.h"
#include "core/utf8.h"
#include "test/fuzz/harness.h"

namespace ctrlexec::fuzz {
namespace {

const std::string name = "x.conf";

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

bool says_nothing(std::string_view line) {
    const std::string_view content = trim(line);
    return content.empty() || content.front() == '#';
}

// The line a message of the form "PATH:LINE: what" is about.
std::size_t line_in(const std::string& message, const std::string& path, std::size_t lines) {
    require(message.compare(0, path.size() + 1, path + ":") == 0);
    const std::string rest = message.substr(path.size() + 1);
    std::int64_t line = 0;
    require(parse_integer(rest.substr(0, rest.find(':')), 1, static_cast<std::int64_t>(lines), line));
    require(rest.compare(rest.find(':'), 2, ": ") == 0 && rest.size() > rest.find(':') + 2);
    require(printable(message) == message);
    return static_cast<std::size_t>(line);
}

bool has_controls(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
    });
}

// "key = value" in any spacing, read from the outside in.
bool spells(std::string_view line, const ConfigEntry& entry) {
    const std::string_view content = trim(line);
    if (entry.key.empty() || content.substr(0, entry.key.size()) != entry.key) return false;
    const std::string_view rest = trim(content.substr(entry.key.size()));
    return !rest.empty() && rest.front() == '=' && trim(rest.substr(1)) == entry.value;
}

void check_entries(const ConfigFile& file, const std::vector<std::string_view>& lines) {
    std::size_t next = 0;
    std::string section;
    for (std::size_t number = 1; number <= lines.size(); ++number) {
        const std::string_view content = trim(lines[number - 1]);
        if (says_nothing(content)) continue;
        if (content.front() == '[') {
            require(content.size() > 2 && content.back() == ']');
            section = trim(content.substr(1, content.size() - 2));
            continue;
        }
        require(next < file.entries().size());
        const ConfigEntry& entry = file.entries()[next++];
        require(static_cast<std::size_t>(entry.line) == number);
        require(entry.section == section && spells(content, entry) && !has_controls(content));
    }
    require(next == file.entries().size());
}

// Written out again, the file says the same.
void check_rendering(const ConfigFile& file) {
    std::string text;
    std::string section;
    for (const auto& entry : file.entries()) {
        if (entry.section != section) text += "[" + entry.section + "]\n";
        section = entry.section;
        text += entry.key + "=" + entry.value + "\n";
    }
    const auto again = ConfigFile::parse(name, text);
    require(again && again->entries().size() == file.entries().size());
    for (std::size_t i = 0; i < file.entries().size(); ++i) {
        const ConfigEntry& was = file.entries()[i];
        const ConfigEntry& is = again->entries()[i];
        require(was.section == is.section && was.key == is.key && was.value == is.value);
    }
}

// The values of the top section; the last one of a key counts.
std::map<std::string, std::string> top_values(const ConfigFile& file) {
    std::map<std::string, std::string> values;
    for (const auto& entry : file.entries()) {
        if (entry.section.empty()) values[entry.key] = entry.value;
    }
    return values;
}

void check_values(const ConfigFile& file) {
    for (const auto& [key, value] : top_values(file)) {
        require(file.text(key, "fallback") == (value.empty() ? "fallback" : value));
        require(file.required(key).has_value() == !value.empty());
        const auto number = file.integer(key, -7, -5, 5);
        require(!number || (*number >= -5 && *number <= 5));
        const auto chosen = file.choice(key, 9, {"yes", "no"});
        require(!chosen || (*chosen < 2 && file.boolean(key, false)));
    }
    require(file.text("", "fallback") == "fallback");
}

// The first bad line is the one that is reported: alone it is refused too, in the same words, and what comes
// before it is not.
void check_refusal(const Error& error, std::string_view text, const std::vector<std::string_view>& lines) {
    require(error.code == Errc::config);
    const std::size_t bad = line_in(error.message, name, lines.size());
    const std::string_view line = lines[bad - 1];
    const auto before = static_cast<std::size_t>(line.data() - text.data());
    require(ConfigFile::parse(name, text.substr(0, before)).has_value());
    const auto alone = ConfigFile::parse(name, line);
    require(!alone.has_value());
    if (line.starts_with("\xef\xbb\xbf"))
        return;  // at the start of a file a byte order mark has words of its own
    require(name + ":" + std::to_string(bad) + alone.error().message.substr(name.size() + 2) ==
            error.message);
}

// A file without a name, so that nothing is left behind.
class MemoryFile {
  public:
    MemoryFile() : fd_(::memfd_create("config", MFD_CLOEXEC)) { require(bool(fd_)); }
    std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }
    void put(std::string_view text) const {
        require(::ftruncate(fd_.get(), 0) == 0);
        require(::pwrite(fd_.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    }

  private:
    UniqueFd fd_;
};

void check_warnings(const std::vector<std::string>& warnings, const std::string& path,
                    const std::vector<std::string_view>& lines) {
    for (const auto& warning : warnings) {
        require(!says_nothing(lines[line_in(warning, path, lines.size()) - 1]));
    }
}

bool within(int value, int low, int high) {
    return value >= low && value <= high;
}

void check_rate_limit(const RateLimit& limit) {
    require(limit.count >= 1 && limit.count <= 1000);
    require(limit.window.count() >= 1 && limit.block.count() >= 1);
    const auto again = RateLimit::parse(limit.text());
    require(again && again->count == limit.count && again->window == limit.window);
    require(again->block == limit.block);
}

void check_agent(const AgentConfig& config, const ConfigFile& file) {
    auto values = top_values(file);
    require(!config.cert.empty() && config.cert == values["cert"]);
    require(!config.key.empty() && !config.ca.empty() && !config.hostname.empty());
    require(!config.config_dir.empty() && !config.state_dir.empty() && !config.allowlist.empty());
    require(!config.dispatcher_serial_path.empty() && !config.revoked_serials.empty());
    require(within(config.port, 0, 65535) && within(config.max_connections, 1, 100'000));
    require(within(config.stdin_timeout, 1, 86400) && within(config.auth_hook_timeout, 1, 3600));
    require(config.run_timeout.count() >= 0 && config.run_timeout <= max_duration);
    require(config.kill_grace.count() >= 0 && config.kill_grace <= max_kill_grace);
    require(config.output_limit >= min_output_limit && config.output_limit <= max_output_limit);
    require(within(config.max_runs, 1, 100'000));
    // A filter that was asked for filters.
    require(values["script_dirs"].empty() || !config.script_dirs.empty());
    require(values["allowed_ips"].empty() || !config.allowed_ips.empty());
    for (const auto& directory : config.script_dirs) {
        require(directory.front() == '/' && directory.find(':') == std::string::npos);
    }
    check_rate_limit(config.rate_limit_volume);
    check_rate_limit(config.rate_limit_probe);
    std::map<std::string, std::string> tags;
    for (const auto& entry : file.entries()) {
        if (entry.section == "tags") tags[entry.key] = entry.value;
    }
    require(config.tags == tags);
}

void check_dispatcher(const DispatcherConfig& config, const ConfigFile& file) {
    auto values = top_values(file);
    require(!config.cert.empty() && config.cert == values["cert"]);
    require(!config.key.empty() && !config.ca.empty());
    require(!config.ca_dir.empty() && !config.state_dir.empty());
    require(within(config.port, 1, 65535) && within(config.pairing_port, 0, 65535));
    require(within(config.pairing_max_queue, 1, 10'000) && within(config.max_parallel, 1, 100'000));
    require(within(config.read_timeout, 1, 86400) && within(config.connect_timeout, 1, 600));
    require(within(config.confirm_above, 0, 1'000'000) && !config.groups_file.empty());
    require(within(config.auth_hook_timeout, 1, 3600) && within(config.cert_days, 1, 36500));
}

template <typename Config>
void check_typed(std::string_view text, const std::vector<std::string_view>& lines,
                 void (*check)(const Config&, const ConfigFile&)) {
    static const MemoryFile memory;
    memory.put(text);
    const std::string path = memory.path();
    const auto file = ConfigFile::parse(path, text);
    const auto config = Config::load(path);
    if (config) {
        require(file.has_value() && config->path == path);
        check(*config, *file);
        check_warnings(config->warnings, path, lines);
        return;
    }
    const Error& error = config.error();
    require(error.code == Errc::config && printable(error.text()) == error.text());
    require(error.message.compare(0, path.size() + 1, path + ":") == 0);
    require(file || file.error().message == error.message);
}

void check_settings(const ScriptSettings& settings) {
    require(!settings.timeout || (settings.timeout->count() > 0 && *settings.timeout <= max_duration));
    require(!settings.kill_grace ||
            (settings.kill_grace->count() >= 0 && *settings.kill_grace <= max_kill_grace));
    require(!settings.output_limit ||
            (*settings.output_limit >= min_output_limit && *settings.output_limit <= max_output_limit));
    require(!settings.concurrency || within(*settings.concurrency, 1, 10'000));
    require(!settings.umask || *settings.umask <= 0777);
    require(!settings.nice || within(*settings.nice, -20, 19));
    require(settings.cwd.empty() || settings.cwd.front() == '/');
    for (const std::string& text : settings.environment) {
        require(text.find('=') != std::string::npos && text.front() != '=' && !text.starts_with("LD_"));
        require(!has_controls(text));
    }
}

std::string rendered_settings(const ScriptSettings& settings) {
    std::vector<std::string> words;
    if (settings.timeout) words.push_back("timeout=" + duration_text(*settings.timeout));
    if (settings.kill_grace) words.push_back("kill_grace=" + duration_text(*settings.kill_grace));
    if (settings.output_limit) words.push_back("output_limit=" + byte_size_text(*settings.output_limit));
    if (settings.concurrency) words.push_back("concurrency=" + std::to_string(*settings.concurrency));
    if (!settings.user.empty()) words.push_back("user=" + settings.user);
    if (!settings.group.empty()) words.push_back("group=" + settings.group);
    if (!settings.cwd.empty()) words.push_back("cwd=" + settings.cwd);
    for (std::string text : settings.environment) {
        text[text.find('=')] = ':';
        words.push_back("env=" + text);
    }
    if (settings.umask) {
        const mode_t mask = *settings.umask;
        words.push_back("umask=" + std::to_string(mask / 64) + std::to_string(mask / 8 % 8) +
                        std::to_string(mask % 8));
    }
    if (settings.nice) words.push_back("nice=" + std::to_string(*settings.nice));
    std::string text;
    for (const std::string& word : words) text += " " + quoted_setting(word);
    return text;
}

// Path and settings are all of the text but for the blanks between them, and the path holds no setting.
void check_splitting(std::string_view text) {
    const auto [path, settings] = split_settings(text);
    require(split_settings(path).settings.empty() && split_settings(path).path == path);
    require(trim(text).substr(0, path.size()) == path && trim(text).ends_with(settings));
    require(split_settings(settings).path.empty());
    if (const auto parsed = parse_settings(settings)) {
        check_settings(*parsed);
        const auto again = parse_settings(rendered_settings(*parsed));
        require(again && *again == *parsed);
    } else {
        require(parsed.error().code == Errc::config &&
                printable(parsed.error().text()) == parsed.error().text());
    }
}

void check_allowlist(std::string_view text, const std::vector<std::string_view>& lines) {
    const Allowlist list = Allowlist::parse(name, text);
    check_warnings(list.warnings(), name, lines);
    const auto said = lines.size() - std::count_if(lines.begin(), lines.end(), says_nothing);
    require(list.warnings().size() + list.scripts().size() <= said);
    require(said == 0 || list.warnings().size() + list.scripts().size() > 0);
    std::string rendered;
    for (const auto& [script, entry] : list.scripts()) {
        const std::string& path = entry.path;
        check_settings(entry.settings);
        require(is_valid_script_name(script) && script.size() <= 128);
        require(path.size() <= 4000 && path.front() == '/' && path.find('\0') == std::string::npos);
        const auto approved = list.approve(script, {});
        require(approved && approved->path() == path);
        rendered += script + "=" + path + rendered_settings(entry.settings) + "\n";
    }
    const Allowlist again = Allowlist::parse(name, rendered);
    require(again.warnings().empty() && again.scripts() == list.scripts());
    for (const auto line : lines) check_splitting(line);
}

void check_groups(std::string_view text, const std::vector<std::string_view>& lines) {
    const auto groups = HostGroups::parse(name, text);
    if (!groups) {
        require(groups.error().code == Errc::config);
        (void)line_in(groups.error().message, name, lines.size());
        return;
    }
    for (const auto& [group, held] : groups->all()) {
        require(!held.words.empty() && within(held.line, 1, static_cast<int>(lines.size())));
        const auto words = groups->words_of(group);
        require(words.has_value());
        for (const auto& word : *words) require(word.kind != TargetWord::Kind::group);
    }
}

}  // namespace

int fuzz_config(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = text_of_input(data, size);
    if (text.size() > max_config_bytes) return 0;
    const auto lines = lines_of(text);
    if (const auto file = ConfigFile::parse(name, text)) {
        check_entries(*file, lines);
        check_rendering(*file);
        check_values(*file);
    } else {
        check_refusal(file.error(), text, lines);
    }
    check_typed<AgentConfig>(text, lines, check_agent);
    check_typed<DispatcherConfig>(text, lines, check_dispatcher);
    check_allowlist(text, lines);
    check_groups(text, lines);
    return 0;
}

}  // namespace ctrlexec::fuzz
