// One line of what an agent streams of a script's output (application/x-ndjson).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/host_result.h"
#include "core/result.h"

namespace ctrlexec {

struct FollowLine {
    bool errors = false;                // of stderr, else of stdout
    std::uint64_t offset = 0;           // of the first byte in the script's output
    std::string bytes;                  // as the script wrote them
    std::uint64_t skipped = 0;          // in their place: so many bytes from `offset` on were not kept
    std::optional<json::Value> result;  // the last line: as an agent's answer to a run

    bool heartbeat() const { return bytes.empty() && skipped == 0 && !result; }

    // Where the stream goes on; at most 2^63 - 1.
    std::uint64_t end() const { return offset + bytes.size() + skipped; }

    // Errc::bad_answer.
    static Result<FollowLine> parse(std::string_view line);
    // As events have it: host, stream, offset, and data (data_b64 when it is not UTF-8) or skipped.
    json::Value to_json(std::string_view host) const;
};

}  // namespace ctrlexec
