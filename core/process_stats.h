// What the kernel says about this process (proc(5)).
#pragma once

#include <cstdint>

namespace ctrlexec {

struct ProcessStats {
    double cpu_seconds = 0;  // user and system
    double start_time = 0;   // seconds since the epoch
    std::uint64_t resident_bytes = 0;
    std::uint64_t virtual_bytes = 0;
    std::uint64_t open_files = 0;
    std::uint64_t max_open_files = 0;
    std::uint64_t threads = 0;
};

// What cannot be read (no /proc) stays 0.
ProcessStats process_stats();

}  // namespace ctrlexec
