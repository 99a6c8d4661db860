#include "cmd/targets.h"

#include <fmt/format.h>

#include <set>

namespace ctrlexec {

Result<std::vector<Target>> parse_targets(std::span<const std::string> words, int default_port) {
    std::vector<Target> targets;
    std::set<std::string> seen;
    for (const auto& word : words) {
        TRY(Target target, Target::parse(word));
        if (target.port == 0) target.port = default_port;
        if (!seen.insert(host_port(target.host, target.port)).second) {
            return fail(Errc::usage, fmt::format("'{}' is named twice", word));
        }
        targets.push_back(std::move(target));
    }
    return targets;
}

}  // namespace ctrlexec
