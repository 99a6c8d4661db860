#include "core/did_you_mean.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

namespace ctrlexec {

std::string_view did_you_mean(std::string_view typed, const std::vector<std::string_view>& known) {
    constexpr std::size_t max_length = 64;
    std::size_t best = 3;  // at most two edits away
    std::string_view closest;
    if (typed.size() > max_length) return closest;
    for (const auto word : known) {
        std::vector<std::size_t> row(typed.size() + 1);  // Levenshtein, one row at a time
        std::iota(row.begin(), row.end(), std::size_t{0});
        for (std::size_t i = 1; i <= word.size(); ++i) {
            std::size_t diagonal = std::exchange(row[0], i);
            for (std::size_t j = 1; j <= typed.size(); ++j) {
                const std::size_t replaced = diagonal + (word[i - 1] == typed[j - 1] ? 0 : 1);
                diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
            }
        }
        if (row.back() < best && row.back() < word.size()) {
            best = row.back();
            closest = word;
        }
    }
    return closest;
}

}  // namespace ctrlexec
