#include "core/open_files.h"

namespace ctrlexec {
namespace {

rlimit original{};
bool raised = false;

}  // namespace

void raise_open_file_limit() {
    if (raised || ::getrlimit(RLIMIT_NOFILE, &original) != 0) return;
    rlimit wanted = original;
    wanted.rlim_cur = wanted.rlim_max;
    raised = original.rlim_cur < original.rlim_max && ::setrlimit(RLIMIT_NOFILE, &wanted) == 0;
}

const rlimit* original_open_file_limit() {  // called after vfork: no more than this
    return raised ? &original : nullptr;
}

}  // namespace ctrlexec
