// Places where the tests end the process, as a power cut would.
#pragma once

#include <string_view>

namespace ctrlexec {

// In the builds of the tests alone (meson option test_clock): SIGKILL to ourselves when CTRL_EXEC_TEST_FAULT
// names this place. In what is shipped: nothing.
void fault_point(std::string_view name);

}  // namespace ctrlexec
