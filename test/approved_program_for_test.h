// Tests stand in for a gate; nothing in the product can.
#pragma once

#include <string>
#include <utility>

#include "core/approved_program.h"

namespace ctrlexec {

struct ApprovedProgramForTest {
    static ApprovedProgram approve(std::string path) { return ApprovedProgram(std::move(path)); }
};

}  // namespace ctrlexec
