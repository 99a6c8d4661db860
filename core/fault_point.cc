#include "core/fault_point.h"

#ifdef CTRL_EXEC_TEST_CLOCK
#include <csignal>
#include <cstdlib>
#endif

namespace ctrlexec {

void fault_point([[maybe_unused]] std::string_view name) {
#ifdef CTRL_EXEC_TEST_CLOCK
    const char* wanted = std::getenv("CTRL_EXEC_TEST_FAULT");
    if (wanted != nullptr && name == wanted) std::raise(SIGKILL);
#endif
}

}  // namespace ctrlexec
