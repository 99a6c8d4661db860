// Hosts as operands.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/target.h"

namespace ctrlexec {

// Each word a target, `default_port` where it names none (0 leaves it open). A host named twice is
// Errc::usage, unless two different ports say that two agents are meant.
Result<std::vector<Target>> parse_targets(std::span<const std::string> words, int default_port);

}  // namespace ctrlexec
