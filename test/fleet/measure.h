// What commands cost: time, processor time and memory, without what the measuring process itself is like.
#pragma once

#include <string>
#include <vector>

namespace ctrlexec::fleet {

// Runs the command `times` times, one after the other, its stdout into `output`, and prints a line of JSON
// for each: wall, user and system in seconds, maxrss in bytes, exit (128 + N for signal N). 0 unless it could
// not be started.
int measure(int times, const std::string& output, const std::vector<std::string>& words);

}  // namespace ctrlexec::fleet
