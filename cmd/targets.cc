#include "cmd/targets.h"

#include <fmt/format.h>

#include <map>
#include <set>

namespace ctrlexec {

Result<std::vector<Target>> parse_targets(std::span<const std::string> words, int default_port) {
    std::vector<Target> targets;
    std::map<std::string, std::set<int>> seen;  // host -> ports
    for (const auto& word : words) {
        TRY(Target target, Target::parse(word));
        if (target.port == 0) target.port = default_port;
        std::set<int>& ports = seen[target.host];
        const bool unclear = !ports.empty() && (target.port == 0 || ports.count(0) != 0);
        if (unclear || !ports.insert(target.port).second) {
            return fail(Errc::usage, fmt::format("'{}' is named twice", word));
        }
        targets.push_back(std::move(target));
    }
    return targets;
}

}  // namespace ctrlexec
