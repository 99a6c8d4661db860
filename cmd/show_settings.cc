#include "cmd/show_settings.h"

#include <fmt/format.h>

#include "cmd/command_line.h"
#include "cmd/print.h"
#include "core/json.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

const char* name_of(SettingSource source) {
    switch (source) {
        case SettingSource::file:
            return "file";
        case SettingSource::environment:
            return "environment";
        case SettingSource::option:
            return "option";
        case SettingSource::fallback:
            break;
    }
    return "default";
}

std::vector<std::string> warnings_about_variables(const ConfigPlaces& places) {
    std::vector<std::string> upper;
    for (const auto key : places.known) upper.push_back(variable_of("", key));
    const std::vector<std::string_view> known(upper.begin(), upper.end());
    std::vector<std::string> warnings;
    for (const auto& name : useless_variables(places)) {
        const auto close = did_you_mean(std::string_view(name).substr(places.prefix.size()), known);
        std::string text = fmt::format("environment {}: sets nothing", printable(name));
        if (!close.empty() && !name.ends_with(close))
            text += fmt::format("; did you mean {}{}?", places.prefix, close);
        warnings.push_back(std::move(text));
    }
    return warnings;
}

void print_json(const std::string& path, const std::vector<Setting>& settings,
                const std::vector<std::string>& warnings) {
    json::Array array;
    for (const auto& setting : settings) {
        array.push_back(json::Object{{"key", setting.key},
                                     {"value", setting.value},
                                     {"source", name_of(setting.source)},
                                     {"origin", setting.origin}});
    }
    print_out(json::dump(json::Object{{"ok", 1},
                                      {"config", path},
                                      {"settings", std::move(array)},
                                      {"warnings", json::strings(warnings)}}) +
              "\n");
}

}  // namespace

Result<void> check_show(const Invocation& call) {
    const std::string& operand = call.operands.front();
    if (operand == "show") return success();
    const auto close = did_you_mean(operand, {"show"});
    return fail(Errc::usage, fmt::format("unknown argument '{}' of config; {}", printable(operand),
                                         close.empty() ? "there is only 'show'" : "did you mean 'show'?"));
}

int show_settings(const Invocation& call, const std::string& path, const std::vector<Setting>& settings,
                  const std::vector<std::string>& warnings, const ConfigPlaces& places) {
    std::vector<std::string> all = warnings;
    for (auto& text : warnings_about_variables(places)) all.push_back(std::move(text));
    if (call.has("--json")) {
        print_json(path, settings, all);
    } else {
        std::vector<std::vector<std::string>> rows;
        for (const auto& setting : settings) rows.push_back({setting.key, setting.value, setting.origin});
        print_out(format_table({"KEY", "VALUE", "ORIGIN"}, rows));
    }
    for (const auto& text : all) print_error_line(call.program + ": warning: " + text);
    return 0;
}

}  // namespace ctrlexec
