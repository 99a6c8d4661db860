// A secret that came in the environment.
#pragma once

#include <string>

namespace ctrlexec {

// Its value, which is then neither in the environment of this process nor in what /proc/PID/environ shows of
// it. Not of a parent: each process has its own copy. "" when it is not set. The caller wipes what it gets
// (core/sealing).
std::string take_variable(const char* name);

}  // namespace ctrlexec
