// Host names as the registry, file names and certificates accept them.
#pragma once

#include <string_view>

namespace ctrlexec {

// Letters, digits, '.', '-', '_', at most 253, starting with a letter or digit, no "..": also safe as a file
// name.
bool is_valid_hostname(std::string_view name);

}  // namespace ctrlexec
