// rotation.json: how far the rotation of the dispatcher's own certificate has come.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"

namespace ctrlexec {

// The first five members are those of 0.8.4. Serials are in normal form, "" when there is none; times are
// seconds since the epoch, 0 when there is none.
struct RotationState {
    std::string current_serial;
    std::string previous_serial;  // that was current before
    std::int64_t rotated_at = 0;
    std::int64_t overlap_expires = 0;  // until then agents trust the previous one too
    int overlap_days = 0;

    enum class Phase { none, staged, announced, switched };
    Phase phase = Phase::none;
    std::string pending_serial;     // of the staged certificate
    std::vector<std::string> kept;  // serials whose key and certificate are kept, the newest first

    bool in_overlap(std::int64_t now) const { return now < overlap_expires; }

    // A missing file is a state without anything. Errc::config when it holds something else.
    static Result<RotationState> load(const std::string& path);
    Result<void> save(const std::string& path) const;
};

const char* phase_name(RotationState::Phase phase);  // "" for none

}  // namespace ctrlexec
