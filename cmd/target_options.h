// Whom a command is for: its host words, --exclude, --limit and --port.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cmd/applet.h"
#include "core/dispatcher_config.h"
#include "core/result.h"
#include "core/target_selection.h"

namespace ctrlexec {

// What was typed; nothing is read yet. Errc::usage.
Result<TargetSelection> selection_of(const Invocation& call, std::span<const std::string> words);

// Who that is. What there is to note of it is said on stderr.
Result<std::vector<Target>> find_targets(const Invocation& call, const DispatcherConfig& config,
                                         const TargetSelection& selection);

struct ChosenTargets {
    DispatcherConfig config;
    std::vector<Target> targets;
};

// Both of the above, with the dispatcher opened in between.
Result<ChosenTargets> choose_targets(const Invocation& call, std::span<const std::string> words);

}  // namespace ctrlexec
