// Which hosts a command is for: words and patterns, what is excluded, how many at most.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/auth_policy.h"
#include "core/dispatcher_config.h"
#include "core/host_groups.h"
#include "core/result.h"
#include "core/target.h"
#include "core/target_word.h"

namespace ctrlexec {

// As it was asked for.
struct TargetSelection {
    std::vector<TargetWord> words;
    std::vector<TargetWord> excluded;
    std::size_t limit = 0;  // the first of them by name; 0: all
    int default_port = 0;

    // `excluded`: words with commas between them; "" for none. Errc::usage; also for a host that is named
    // twice (see parse_targets).
    static Result<TargetSelection> parse(std::span<const std::string> words, std::string_view excluded,
                                         int default_port);
};

// What patterns are about.
struct Inventory {
    std::vector<std::string> agents;   // the registered ones, sorted
    std::map<std::string, Tags> tags;  // of those that were ever asked
    HostGroups groups;

    // What the selection needs of it: nothing is read for plain hosts alone.
    static Result<Inventory> load(const DispatcherConfig& config, const TargetSelection& selection);
};

struct SelectedTargets {
    std::vector<Target> targets;  // in the order of the words, of each pattern by name; with a limit by name
    std::vector<std::string> notes;  // sentences for people
};

// A host that several patterns select, or a pattern and a word, counts once. Errc::usage when a word selects
// nobody, and when nobody is left.
Result<SelectedTargets> select_targets(const TargetSelection& selection, const Inventory& inventory);

}  // namespace ctrlexec
