#include "core/script_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "core/byte_size.h"
#include "core/config_file.h"
#include "core/did_you_mean.h"
#include "core/duration.h"
#include "core/run_bounds.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::string_view blanks = " \t\r";
constexpr std::size_t max_value_bytes = 4096;
constexpr std::size_t max_name_bytes = 256;  // of a user, a group, an environment variable
constexpr std::size_t max_variables = 256;

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// "timeout" of "timeout=30s", "" when the word has another form.
std::string_view setting_name(std::string_view word) {
    const auto end = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
    return end == std::string_view::npos || word[end] != '=' ? std::string_view() : word.substr(0, end);
}

std::string_view first_word(std::string_view text) {
    return text.substr(0, text.find_first_of(blanks));
}

std::string shown(std::string_view text) {
    return printable(text.substr(0, 60));
}

Error bad(std::string_view name, std::string_view what) {
    return fail(Errc::config, fmt::format("{} {}", name, what));
}

Error bad_value(std::string_view name, std::string_view expected, std::string_view value) {
    return bad(name, fmt::format("must be {}, not '{}'", expected, shown(value)));
}

// The value at the start of `text`, which is then left with what follows it.
Result<std::string> take_value(std::string_view name, std::string_view& text) {
    if (text.empty() || text.front() != '"') {
        const std::string_view word = first_word(text);
        text.remove_prefix(word.size());
        if (word.find('"') != std::string_view::npos)
            return bad(name,
                       "has a quote within its value; put the whole value in quotes, with \\\" for a quote");
        return std::string(word);
    }
    std::string value;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') {
            text.remove_prefix(i + 1);
            if (!text.empty() && blanks.find(text.front()) == std::string_view::npos)
                return bad(name, "has something after its closing quote; put the whole value in quotes");
            return value;
        }
        const bool escaped = text[i] == '\\';
        if (escaped && (++i == text.size() || (text[i] != '"' && text[i] != '\\')))
            return bad(name, "has a backslash that is not one of \\\" and \\\\; write \\\\ for a backslash");
        value += text[i];
    }
    return bad(name, "has a quote that is never closed");
}

Result<std::string> read_account(std::string_view name, const std::string& value) {
    const bool sane = !value.empty() && value.size() <= max_name_bytes && value.front() != '-' &&
                      value.find_first_of(":/, \t\"'") == std::string::npos;
    if (!sane) return bad_value(name, fmt::format("the name or the number of a {}", name), value);
    return value;
}

Result<std::string> read_directory(std::string_view name, const std::string& value) {
    if (value.empty() || value.front() != '/' || value.size() >= max_value_bytes)
        return bad_value(name, "an absolute path", value);
    return value;
}

Result<mode_t> read_mask(std::string_view name, const std::string& value) {
    mode_t mask = 0;
    const bool sane = !value.empty() && value.size() <= 4 &&
                      std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '7'; });
    for (std::size_t i = 0; sane && i < value.size(); ++i)
        mask = mask * 8 + static_cast<mode_t>(value[i] - '0');
    if (!sane || mask > 0777) return bad_value(name, "an octal number from 0 to 0777, such as 027", value);
    return mask;
}

Result<int> read_number(std::string_view name, const std::string& value, int low, int high) {
    std::int64_t number = 0;
    if (!parse_integer(value, low, high, number))
        return bad_value(name, fmt::format("a number from {} to {}", low, high), value);
    return static_cast<int>(number);
}

template <typename T>
Result<T> named(std::string_view name, Result<T> value) {
    if (!value) return bad(name, value.error().message);
    return value;
}

// KEY:value. The loader's variables would decide what code runs in the script's place.
Result<std::string> read_variable_setting(const std::string& value) {
    const auto colon = value.find(':');
    const std::string key = value.substr(0, colon);
    const bool sane =
        colon != std::string::npos && !key.empty() && key.size() <= max_name_bytes &&
        (is_letter(key.front()) || key.front() == '_') &&
        std::all_of(key.begin(), key.end(), [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
    if (!sane)
        return bad_value("env", "KEY:value with a KEY of letters, digits and '_' that begins with no digit",
                         value);
    if (key.starts_with("LD_"))
        return bad("env",
                   fmt::format("must not set {}: it is for the loader; set it within the script", key));
    return key + "=" + value.substr(colon + 1);
}

Result<void> add_variable(ScriptSettings& settings, const std::string& value) {
    TRY(std::string variable, read_variable_setting(value));
    const std::string key = variable.substr(0, variable.find('=') + 1);
    for (const std::string& other : settings.environment) {
        if (other.starts_with(key))
            return bad("env", fmt::format("sets {} twice", key.substr(0, key.size() - 1)));
    }
    if (settings.environment.size() >= max_variables)
        return bad("env", fmt::format("sets more than {} variables", max_variables));
    settings.environment.push_back(std::move(variable));
    return success();
}

using Reader = Result<void> (*)(ScriptSettings&, std::string_view name, const std::string& value);

template <typename Member, typename Read>
Result<void> put(Member& member, Result<Read> value) {
    if (!value) return std::move(value).error();
    member = std::move(*value);
    return success();
}

struct Known {
    std::string_view name;
    Reader read;
};

using Text = const std::string&;
using Name = std::string_view;
using Set = ScriptSettings&;
constexpr std::chrono::milliseconds none(0);

constexpr std::array<Known, 10> known_settings{{
    {"timeout", [](Set s, Name n, Text v) { return put(s.timeout, named(n, parse_duration(v))); }},
    {"kill_grace",
     [](Set s, Name n, Text v) {
         return put(s.kill_grace, named(n, parse_duration(v, none, max_kill_grace)));
     }},
    {"output_limit",
     [](Set s, Name n, Text v) {
         return put(s.output_limit, named(n, parse_byte_size(v, min_output_limit, max_output_limit)));
     }},
    {"concurrency", [](Set s, Name n, Text v) { return put(s.concurrency, read_number(n, v, 1, 10'000)); }},
    {"user", [](Set s, Name n, Text v) { return put(s.user, read_account(n, v)); }},
    {"group", [](Set s, Name n, Text v) { return put(s.group, read_account(n, v)); }},
    {"cwd", [](Set s, Name n, Text v) { return put(s.cwd, read_directory(n, v)); }},
    {"env", [](Set s, Name, Text v) { return add_variable(s, v); }},
    {"umask", [](Set s, Name n, Text v) { return put(s.umask, read_mask(n, v)); }},
    {"nice", [](Set s, Name n, Text v) { return put(s.nice, read_number(n, v, -20, 19)); }},
}};

Error unknown(std::string_view name) {
    std::vector<std::string_view> names;
    for (const Known& one : known_settings) names.push_back(one.name);
    const auto close = did_you_mean(name, names);
    return fail(Errc::config, fmt::format("unknown setting '{}'; {}", shown(name),
                                          close.empty() ? fmt::format("there are {}", fmt::join(names, ", "))
                                                        : fmt::format("did you mean '{}'?", close)));
}

Error no_setting(std::string_view word) {
    if (word.front() == '#')
        return fail(Errc::config, "a '#' after the settings; comments stand on lines of their own");
    return fail(Errc::config,
                fmt::format("'{}' is no setting; settings are NAME=VALUE without blanks around the '=', with "
                            "quotes around a value that holds blanks",
                            shown(word)));
}

}  // namespace

PathAndSettings split_settings(std::string_view text) {
    std::size_t start = 0;
    while ((start = text.find_first_not_of(blanks, start)) != std::string_view::npos) {
        const std::string_view word = first_word(text.substr(start));
        if (!setting_name(word).empty()) return {trim(text.substr(0, start)), trim(text.substr(start))};
        start += word.size();
    }
    return {trim(text), {}};
}

Result<ScriptSettings> parse_settings(std::string_view text) {
    ScriptSettings settings;
    std::set<std::string_view> seen;
    if (has_control_character(text))
        return fail(Errc::config, "a control character in the settings; remove it");
    for (text = trim(text); !text.empty(); text = trim(text)) {
        const std::string_view name = setting_name(first_word(text));
        if (name.empty()) return no_setting(first_word(text));
        const auto known = std::find_if(known_settings.begin(), known_settings.end(),
                                        [&](const Known& one) { return one.name == name; });
        if (known == known_settings.end()) return unknown(name);
        if (!seen.insert(name).second && name != "env") return bad(name, "is set twice");
        text.remove_prefix(name.size() + 1);
        TRY(const std::string value, take_value(name, text));
        if (value.size() > max_value_bytes)
            return bad(name, fmt::format("has a value of more than {} bytes", max_value_bytes));
        TRY_DO(known->read(settings, name, value));
    }
    return settings;
}

std::string quoted_setting(std::string_view setting) {
    const std::string_view value = setting.substr(std::min(setting.find('=') + 1, setting.size()));
    if (value.find_first_of(" \t\"\\") == std::string_view::npos) return std::string(setting);
    std::string text(setting.substr(0, setting.size() - value.size()));
    text += '"';
    for (const char c : value) {
        if (c == '"' || c == '\\') text += '\\';
        text += c;
    }
    return text + '"';
}

}  // namespace ctrlexec
