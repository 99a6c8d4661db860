#include "cmd/target_options.h"

#include <fmt/format.h>

#include "cmd/dispatcher_context.h"
#include "cmd/print.h"

namespace ctrlexec {

Result<TargetSelection> selection_of(const Invocation& call, std::span<const std::string> words) {
    TRY(const int port, port_option(call));
    TRY(TargetSelection selection, TargetSelection::parse(words, call.text("--exclude"), port));
    TRY(const int limit, number_option(call, "--limit", 1, 1'000'000, 0));
    selection.limit = static_cast<std::size_t>(limit);
    return selection;
}

Result<std::vector<Target>> find_targets(const Invocation& call, const DispatcherConfig& config,
                                         const TargetSelection& selection) {
    TRY(const Inventory inventory, Inventory::load(config, selection));
    TRY(SelectedTargets selected, select_targets(selection, inventory));
    for (const auto& note : selected.notes) print_error_line(fmt::format("{}: {}", call.program, note));
    return std::move(selected.targets);
}

Result<ChosenTargets> choose_targets(const Invocation& call, std::span<const std::string> words) {
    TRY(const TargetSelection selection, selection_of(call, words));
    TRY(DispatcherConfig config, open_dispatcher(call));
    TRY(std::vector<Target> targets, find_targets(call, config, selection));
    return ChosenTargets{std::move(config), std::move(targets)};
}

}  // namespace ctrlexec
