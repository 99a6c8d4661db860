#include "core/agent_tags.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "core/config_environment.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::string_view section = "tags";
constexpr std::string_view list_variable = "AGENT_TAGS";

Error bad_list(std::string_view what) {
    return fail(Errc::config, fmt::format("environment {}: {}", list_variable, what));
}

Result<void> add_list(ConfigFile& file, std::string_view list) {
    std::set<std::string> seen;
    while (!list.empty()) {
        const auto comma = list.find(',');
        const std::string_view item = trim(list.substr(0, comma));
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
        if (item.empty()) continue;
        const auto equals = item.find('=');
        std::string key(trim(item.substr(0, equals)));
        if (equals == std::string_view::npos || !is_config_key(key)) {
            return bad_list(
                fmt::format("expected 'key=value' with ',' in between, found '{}'; a key is 1 to "
                            "64 letters, digits, '_', '-' and '.'",
                            printable(item.substr(0, 80))));
        }
        if (!seen.insert(key).second) return bad_list(fmt::format("the tag '{}' is there twice", key));
        file.add({std::string(section), std::move(key), std::string(trim(item.substr(equals + 1))), 0,
                  std::string(list_variable)});
    }
    return success();
}

}  // namespace

Result<void> add_environment_tags(ConfigFile& file) {
    constexpr std::pair<const char*, const char*> single[] = {{"AGENT_ENV", "env"}, {"AGENT_ROLE", "role"}};
    for (const auto& [variable, key] : single) {
        TRY(auto value, read_variable(variable));
        if (value) file.add({std::string(section), key, std::move(*value), 0, variable});
    }
    TRY(const auto list, read_variable(std::string(list_variable)));
    return list ? add_list(file, *list) : success();
}

}  // namespace ctrlexec
