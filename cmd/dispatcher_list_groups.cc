// Usage: list-groups
// GROUP, WORDS of each group of hosts, as the groups file has them.
#include "cmd/dispatcher_context.h"
#include "cmd/print.h"
#include "cmd/verbs.h"
#include "core/host_groups.h"
#include "core/json.h"

namespace ctrlexec {

int dispatcher_list_groups(const Invocation& call) {
    const auto config = open_dispatcher(call);
    if (!config) return report(call, config.error());
    const auto groups = HostGroups::load(config->groups_file, config->groups_file_is_set);
    if (!groups) return report(call, groups.error());
    json::Array array;
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, group] : groups->all()) {
        auto& row = rows.emplace_back(2);
        row[0] = name;
        json::Array words;
        for (const auto& word : group.words) {
            row[1] += (row[1].empty() ? "" : " ") + word.text;
            words.emplace_back(word.text);
        }
        array.emplace_back(json::Object{{"name", name}, {"words", std::move(words)}});
    }
    print_out(call.has("--json") ? json::dump(json::Object{{"ok", 1}, {"groups", std::move(array)}}) + "\n"
                                 : format_table({"GROUP", "WORDS"}, rows));
    return 0;
}

}  // namespace ctrlexec
