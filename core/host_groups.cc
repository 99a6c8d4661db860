#include "core/host_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/config_file.h"
#include "core/did_you_mean.h"
#include "core/file.h"

namespace ctrlexec {
namespace {

constexpr int max_depth = 32;
constexpr int being_looked_at = -1;

Result<std::vector<TargetWord>> parse_words(std::string_view text) {
    std::vector<TargetWord> words;
    for (text = trim(text); !text.empty(); text = trim(text)) {
        const auto end = std::min(text.find_first_of(" \t"), text.size());
        TRY(TargetWord word, TargetWord::parse(text.substr(0, end)));
        words.push_back(std::move(word));
        text.remove_prefix(end);
    }
    return words;
}

}  // namespace

Error HostGroups::bad(const HostGroup& group, std::string_view what) const {
    return fail(Errc::config, fmt::format("{}:{}: {}", path_, group.line, what));
}

Result<HostGroups> HostGroups::parse(const std::string& path, std::string_view text) {
    TRY(const ConfigFile file, ConfigFile::parse(path, text));
    HostGroups groups;
    groups.path_ = path;
    for (const auto& entry : file.entries()) {
        HostGroup group;
        group.line = entry.line;
        if (!entry.section.empty())
            return groups.bad(group, fmt::format("sections mean nothing here; remove '[{}]'", entry.section));
        auto words = parse_words(entry.value);
        if (!words) return groups.bad(group, fmt::format("group {}: {}", entry.key, words.error().message));
        if (words->empty())
            return groups.bad(
                group, fmt::format("group {} is empty; name its hosts, or remove the line", entry.key));
        group.words = std::move(*words);
        const auto [there, is_new] = groups.groups_.emplace(entry.key, group);
        if (!is_new)
            return groups.bad(group, fmt::format("group {} is there already, on line {}; give one of them "
                                                 "another name",
                                                 entry.key, there->second.line));
    }
    std::map<std::string, int> depths;
    for (const auto& [name, group] : groups.groups_) TRY_DO(groups.depth_of(name, depths, 1));
    return groups;
}

// Levels of groups from this one down. `depths`: what is known already. Bounded by `level`, too, since the
// stack is.
Result<int> HostGroups::depth_of(const std::string& name, std::map<std::string, int>& depths,
                                 int level) const {
    const HostGroup& group = groups_.at(name);
    const auto known = depths.find(name);
    if (known != depths.end() && known->second != being_looked_at) return known->second;
    if (known != depths.end())
        return bad(group, fmt::format("group {} holds itself; take it out of the groups in it", name));
    depths[name] = being_looked_at;
    int depth = 1;
    for (const auto& word : group.words) {
        if (word.kind != TargetWord::Kind::group) continue;
        if (!groups_.contains(word.name)) {
            return bad(group, fmt::format("group {}: there is no group {}; add it, or correct the name", name,
                                          word.name));
        }
        TRY(const int below, level < max_depth ? depth_of(word.name, depths, level + 1) : max_depth);
        depth = std::max(depth, below + 1);
    }
    if (depth > max_depth)
        return bad(group, fmt::format("group {}: more than {} groups in one another; flatten them", name,
                                      max_depth));
    return depths[name] = depth;
}

Result<HostGroups> HostGroups::load(const std::string& path, bool must_exist) {
    if (!must_exist && !file_exists(path)) {
        HostGroups none;
        none.path_ = path;
        return none;
    }
    auto text = read_file(path, max_config_bytes);
    if (!text)
        return fail(Errc::config, fmt::format("{}; it is what groups_file names", text.error().text()));
    return parse(path, *text);
}

Result<std::vector<TargetWord>> HostGroups::words_of(const std::string& name) const {
    if (!groups_.contains(name)) {
        std::vector<std::string_view> known;
        for (const auto& [other, group] : groups_) known.push_back(other);
        const auto close = did_you_mean(name, known);
        return fail(Errc::usage, close.empty()
                                     ? fmt::format("there is no group {}; define it in {}", name, path_)
                                     : fmt::format("there is no group {}; did you mean @{}?", name, close));
    }
    std::vector<TargetWord> words;
    std::set<std::string> taken;
    expand(name, taken, words);
    return words;
}

// In the order of the file; a group that is met again adds nothing. As deep as depth_of() has allowed.
void HostGroups::expand(const std::string& name, std::set<std::string>& taken,
                        std::vector<TargetWord>& words) const {
    if (!taken.insert(name).second) return;
    for (const auto& word : groups_.at(name).words) {
        if (word.kind == TargetWord::Kind::group) {
            expand(word.name, taken, words);
        } else {
            words.push_back(word);
        }
    }
}

}  // namespace ctrlexec
