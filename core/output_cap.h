// Old dispatchers hang for good on one answer of more than 64 KiB.
#pragma once

#include <cstddef>
#include <string>

namespace ctrlexec {

inline constexpr std::size_t legacy_answer_bytes = 60 * 1024;

// Shortens both streams, the longer one first, each with a visible marker at its end, until they take at most
// `max_bytes` as JSON strings.
void cap_output(std::string& output, std::string& errors, std::size_t max_bytes);

}  // namespace ctrlexec
