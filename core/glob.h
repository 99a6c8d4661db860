// Patterns of policy files: '*' stands for any number of characters, '?' for one, everything else for itself.
#pragma once

#include <string_view>

namespace ctrlexec {

// Whether the whole text matches. Takes at most pattern.size() * text.size() steps and no memory, whatever
// the pattern: fnmatch(3) needs exponential time for "*a*a*a*b". Upper and lower case differ. A character is
// one of UTF-8; a byte that belongs to none counts as one.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace ctrlexec
