// Old dispatchers hang for good on one answer of more than 64 KiB.
#pragma once

#include <cstddef>
#include <string>

#include "core/json.h"

namespace ctrlexec {

inline constexpr std::size_t legacy_answer_bytes = 60 * 1024;

// Shortens both streams, the longer one first, each with a visible marker at its end, until they take at most
// `max_bytes` as JSON strings.
void cap_output(std::string& output, std::string& errors, std::size_t max_bytes);

// The same for an answer to /capabilities: scripts and tags are left out from the end, and "truncated" says
// so.
void cap_capabilities(json::Value& answer, std::size_t max_bytes);

}  // namespace ctrlexec
