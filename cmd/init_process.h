// Being process 1 of a container.
#pragma once

#include <functional>

namespace ctrlexec {

// Calls `command` and returns its exit code. As process 1 (of a container, that is) it calls it in a child,
// and this process does what the kernel expects of process 1, and nothing else: it reaps every orphan, and
// hands the signals it gets on to the child, for which they have their usual meaning (signal(7): process 1
// itself ignores those it has no handler for). The child's exit code is ours; 128 + N when signal N ended it.
// Whatever else still runs in the container then is ended by the kernel. Call before the first thread and the
// first secret.
int run_with_init(const std::function<int()>& command);

}  // namespace ctrlexec
