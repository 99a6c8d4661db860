#include "core/target_selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/file.h"
#include "core/glob.h"
#include "core/registry.h"
#include "core/tag_cache.h"
#include "core/tag_store.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

using Kind = TargetWord::Kind;
using Words = std::vector<TargetWord>;

Result<Words> parse_excluded(std::string_view list) {
    Words words;
    while (!list.empty()) {
        const auto comma = std::min(list.find(','), list.size());
        TRY(TargetWord word, TargetWord::parse(list.substr(0, comma)));
        words.push_back(std::move(word));
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return words;
}

// Those that came with a join token hold from the start, whether or not the agent was ever asked.
Result<void> add_assigned_tags(const DispatcherConfig& config, Inventory& inventory) {
    if (!file_exists(config.join_tokens_dir())) return success();  // then nobody has any
    TRY(auto listing, Registry(config.agents_dir()).list());
    for (const auto& agent : listing.agents) {
        if (agent.tags.empty()) continue;
        Tags& tags = inventory.tags[agent.hostname];
        tags = with_assigned(std::move(tags), agent.tags);
    }
    return success();
}

// The words that `word` stands for: those of a group, else itself.
Result<Words> taken_apart(const TargetWord& word, const HostGroups& groups) {
    if (word.kind == Kind::group) return groups.words_of(word.name);
    return Words(1, word);
}

bool fits(const TargetWord& word, const std::string& host, const Inventory& inventory) {
    if (word.kind == Kind::glob) return glob_matches(word.pattern, host);
    if (word.kind == Kind::all) return std::ranges::binary_search(inventory.agents, host);
    const auto known = inventory.tags.find(host);
    return known != inventory.tags.end() && std::ranges::any_of(known->second, [&](const auto& tag) {
               return tag.first == word.name && glob_matches(word.pattern, tag.second);
           });
}

// Who is excluded, and by which words: the number of hosts that are named may be as large as that of targets.
class Exclusion {
  public:
    Exclusion(const Inventory& inventory, std::size_t words) : inventory_(&inventory), used_(words) {}

    void add(std::size_t word, Words apart) {
        for (auto& one : apart) {
            if (one.is_pattern()) {
                patterns_.emplace_back(word, std::move(one));
            } else {
                hosts_[{one.host.host, one.host.port}].push_back(word);
            }
        }
    }

    bool covers(const Target& target) {
        bool covered = covers_host(target.host, 0);  // a word without a port means the host at every port
        if (target.port != 0) covered = covers_host(target.host, target.port) || covered;
        for (const auto& [word, pattern] : patterns_) {
            if (!fits(pattern, target.host, *inventory_)) continue;
            used_[word] = covered = true;
        }
        return covered;
    }

    // Whether it has excluded anybody.
    bool used(std::size_t word) const { return used_[word]; }

  private:
    bool covers_host(const std::string& host, int port) {
        const auto found = hosts_.find({host, port});
        if (found == hosts_.end()) return false;
        for (const auto word : found->second) used_[word] = true;
        return true;
    }

    const Inventory* inventory_;
    std::vector<bool> used_;
    std::map<std::pair<std::string, int>, std::vector<std::size_t>> hosts_;
    std::vector<std::pair<std::size_t, TargetWord>> patterns_;
};

// Collects the targets in order, each once.
class Selector {
  public:
    Selector(const TargetSelection& selection, const Inventory& inventory)
        : selection_(&selection), inventory_(&inventory) {}

    Result<SelectedTargets> select() {
        // What is named with its port is not selected a second time, at another one, by a pattern.
        std::vector<Words> each;
        for (const auto& word : selection_->words) {
            TRY(Words words, taken_apart(word, inventory_->groups));
            for (const auto& one : words) note_name(one, word.kind == Kind::host);
            each.push_back(std::move(words));
        }
        for (std::size_t i = 0; i < each.size(); ++i) TRY_DO(add(selection_->words[i], each[i]));
        TRY_DO(exclude());
        note_unknown_tags();
        limit();
        return std::move(selected_);
    }

  private:
    void note_name(const TargetWord& word, bool typed) {
        by_tag_ = by_tag_ || word.kind == Kind::tag;
        if (!word.is_pattern()) named_.insert(word.host.host);
        if (!word.is_pattern() && typed) typed_.insert(word.host.host);
    }

    Result<void> add(const TargetWord& word, const Words& words) {
        std::size_t found = 0;
        for (const auto& one : words) {
            if (!one.is_pattern()) {
                ++found;
                add_host(one.host, word.kind == Kind::host);
                continue;
            }
            for (const auto& agent : inventory_->agents) {
                if (!fits(one, agent, *inventory_)) continue;
                ++found;
                if (!named_.contains(agent) && seen_[agent].insert(0).second)
                    selected_.targets.push_back({agent, selection_->default_port});
            }
        }
        return found > 0 ? success() : nobody(word);
    }

    // Of a group it counts only when it was not typed as well.
    void add_host(Target target, bool typed) {
        if (!typed && typed_.contains(target.host)) return;
        if (target.port == 0) target.port = selection_->default_port;
        std::set<int>& ports = seen_[target.host];
        const bool unclear = !ports.empty() && (target.port == 0 || ports.contains(0));
        if (typed || (!unclear && ports.insert(target.port).second))
            selected_.targets.push_back(std::move(target));
    }

    Error nobody(const TargetWord& word) {
        std::string text = fmt::format("{} selects nobody", printable(word.text));
        if (inventory_->agents.empty()) {
            text += ": no agent is registered";
        } else if (const auto unknown = tags_unknown(); word.kind == Kind::tag && unknown > 0) {
            text +=
                fmt::format("; the tags of {} are not known, 'ctrl-exec-dispatcher discover' asks for them",
                            agents(unknown));
        } else {
            text += fmt::format(" of {}; see list-agents", agents(inventory_->agents.size()));
        }
        return fail(Errc::usage, std::move(text));
    }

    static std::string agents(std::size_t count) {
        return fmt::format("{} agent{}", count, count == 1 ? "" : "s");
    }

    Result<void> exclude() {
        const auto& excluded = selection_->excluded;
        Exclusion exclusion(*inventory_, excluded.size());
        for (std::size_t i = 0; i < excluded.size(); ++i) {
            TRY(Words words, taken_apart(excluded[i], inventory_->groups));
            for (const auto& one : words) by_tag_ = by_tag_ || one.kind == Kind::tag;
            exclusion.add(i, std::move(words));
        }
        std::erase_if(selected_.targets, [&](const Target& target) { return exclusion.covers(target); });
        if (selected_.targets.empty())
            return fail(Errc::usage, "nobody is left: --exclude excludes all that are selected");
        for (std::size_t i = 0; i < excluded.size(); ++i) {
            if (exclusion.used(i)) continue;
            selected_.notes.push_back(
                fmt::format("--exclude {} excludes nobody", printable(excluded[i].text)));
        }
        return success();
    }

    std::size_t tags_unknown() const {
        return static_cast<std::size_t>(std::ranges::count_if(
            inventory_->agents, [&](const auto& agent) { return !inventory_->tags.contains(agent); }));
    }

    void note_unknown_tags() {
        const std::size_t unknown = by_tag_ ? tags_unknown() : 0;
        if (unknown == 0) return;
        selected_.notes.push_back(
            fmt::format("the tags of {} are not known: no tag selects or excludes them; "
                        "'ctrl-exec-dispatcher discover' asks for them",
                        agents(unknown)));
    }

    void limit() {
        auto& targets = selected_.targets;
        if (selection_->limit == 0) return;
        std::ranges::stable_sort(targets, {}, &Target::host);
        if (selection_->limit < targets.size()) targets.resize(selection_->limit);
    }

    const TargetSelection* selection_;
    const Inventory* inventory_;
    std::set<std::string> named_, typed_;        // hosts, not patterns: anywhere, and as words of their own
    std::map<std::string, std::set<int>> seen_;  // host -> ports: what patterns and groups have selected
    bool by_tag_ = false;
    SelectedTargets selected_;
};

}  // namespace

Result<TargetSelection> TargetSelection::parse(std::span<const std::string> words, std::string_view excluded,
                                               int default_port) {
    TargetSelection selection;
    selection.default_port = default_port;
    std::vector<std::string> hosts;
    for (const auto& text : words) {
        TRY(TargetWord word, TargetWord::parse(text));
        if (word.kind == Kind::host) hosts.push_back(text);
        selection.words.push_back(std::move(word));
    }
    TRY_DO(parse_targets(hosts, default_port));
    TRY(selection.excluded, parse_excluded(excluded));
    return selection;
}

Result<Inventory> Inventory::load(const DispatcherConfig& config, const TargetSelection& selection) {
    Inventory inventory;
    Words words = selection.words;
    words.insert(words.end(), selection.excluded.begin(), selection.excluded.end());
    const auto any = [&](Kind kind) {
        return std::ranges::any_of(words, [&](const TargetWord& word) { return word.kind == kind; });
    };
    if (any(Kind::group)) {
        TRY(inventory.groups, HostGroups::load(config.groups_file, config.groups_file_is_set));
        Words apart;
        for (const auto& word : words) {
            TRY(Words some, taken_apart(word, inventory.groups));
            apart.insert(apart.end(), some.begin(), some.end());
        }
        words = std::move(apart);
    }
    if (any(Kind::glob) || any(Kind::tag) || any(Kind::all)) {
        TRY(inventory.agents, Registry(config.agents_dir()).names());
    }
    if (any(Kind::tag)) {
        TRY(inventory.tags, TagStore(config).load());
        TRY_DO(add_assigned_tags(config, inventory));
    }
    return inventory;
}

Result<SelectedTargets> select_targets(const TargetSelection& selection, const Inventory& inventory) {
    return Selector(selection, inventory).select();
}

}  // namespace ctrlexec
