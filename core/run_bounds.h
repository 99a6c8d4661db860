// Between what bounds an agent's configuration and a script's settings may set a script's limits.
#pragma once

#include <chrono>
#include <cstddef>

namespace ctrlexec {

inline constexpr std::chrono::milliseconds max_kill_grace = std::chrono::hours(1);
inline constexpr std::size_t min_output_limit = std::size_t{1} << 10;
inline constexpr std::size_t max_output_limit = std::size_t{1} << 24;

}  // namespace ctrlexec
