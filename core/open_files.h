// How many files may be open: servers want all they can get, their children what we were started with.
#pragma once

#include <sys/resource.h>

namespace ctrlexec {

// Raises the soft limit to the hard one: the usual 1024 are used up by a thousand connections. Call once, at
// start.
void raise_open_file_limit();

// What children get: the limit as it was, since programs that use select(2) break above 1024. Null when
// nothing was raised. Async-signal-safe.
const rlimit* original_open_file_limit();

}  // namespace ctrlexec
