// Ourselves, as a program to start.
#pragma once

#include "core/approved_program.h"

namespace ctrlexec {

// A gate of its own: what runs already needs no leave to run. By this name the kernel starts the very image
// that the caller executes, also when its file was replaced or removed since, as an upgrade does. Needs
// /proc.
struct OwnProgram {
    static ApprovedProgram approve() { return ApprovedProgram("/proc/self/exe"); }
};

}  // namespace ctrlexec
