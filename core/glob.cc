#include "core/glob.h"

#include <algorithm>
#include <cstddef>

#include "core/utf8.h"

namespace ctrlexec {

bool glob_matches(std::string_view pattern, std::string_view text) {
    const auto next = [&](std::size_t at) {
        return at + std::max<std::size_t>(1, utf8_sequence(text.substr(at)));
    };
    std::size_t p = 0;
    std::size_t t = 0;
    // Where to go on when the rest does not fit: only the last '*' need take more, since whatever an earlier
    // one could take instead this one can take too.
    std::size_t star = std::string_view::npos;
    std::size_t taken = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = ++p;
            taken = t;
        } else if (p < pattern.size() && pattern[p] == '?') {
            ++p;
            t = next(t);
        } else if (p < pattern.size() && pattern[p] == text[t]) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            taken = next(taken);
            p = star;
            t = taken;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace ctrlexec
