// What somebody meant who mistyped a word.
#pragma once

#include <string_view>
#include <vector>

namespace ctrlexec {

// The known word closest to a mistyped one, "" when none is close.
std::string_view did_you_mean(std::string_view typed, const std::vector<std::string_view>& known);

}  // namespace ctrlexec
