// Who a process was, told so that a later process with the same number is not taken for it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "core/json.h"
#include "core/result.h"

namespace ctrlexec {

// Of this start of the machine; "" where /proc does not tell.
std::string boot_id();

struct ProcessIdentity {
    pid_t pid = -1;
    std::uint64_t start_ticks = 0;  // since the machine's start, from /proc/PID/stat
    std::string boot;               // boot_id() when that was

    // Errc::not_found when there is no such process (any more).
    static Result<ProcessIdentity> of(pid_t pid);
    static Result<ProcessIdentity> from_json(const json::Value& value);
    json::Value to_json() const;

    // Whether that very process is still there, a zombie included.
    bool exists() const;
};

}  // namespace ctrlexec
