// The child's side of spawn: what happens between vfork and execve.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace ctrlexec {

// All the child needs, made ready before vfork: it shares the parent's memory, so it must neither allocate
// nor change anything there. Borrowed pointers; every descriptor is 3 or higher, so that no dup2 overwrites
// another.
struct ExecImage {
    const char* path = nullptr;
    char* const* argv = nullptr;  // ends with a null pointer, as does envp
    char* const* envp = nullptr;
    const char* directory = nullptr;
    // For setgroups(2), setresgid(2) and setresuid(2); only with `switches_user`.
    bool switches_user = false;
    uid_t uid = 0;
    gid_t gid = 0;
    const gid_t* groups = nullptr;
    std::size_t group_count = 0;
    bool no_new_privileges = false;  // PR_SET_NO_NEW_PRIVS
    mode_t umask = 022;
    int nice = 0;    // 0: unchanged
    int input = -1;  // becomes 0, 1, 2
    int output = -1;
    int error = -1;
    int failure = -1;        // O_CLOEXEC; gets one ExecFailure, or just closes when execve succeeds
    int highest_number = 0;  // of a descriptor to close one by one, on kernels without close_range(2)
};

enum class ExecStep : int {
    prepare,
    change_priority,
    set_groups,
    set_group,
    set_user,
    drop_capabilities,
    verify_user,
    forbid_privileges,
    change_directory,
    execute
};

struct ExecFailure {
    ExecStep step = ExecStep::prepare;
    int error_number = 0;
};

// Async-signal-safe. All signals must be blocked on entry. Leaves a new session, the given user, groups,
// umask and priority, default signal dispositions, an empty signal mask, descriptors 0 to 2 and nothing else.
[[noreturn]] void exec_child(const ExecImage& image);

}  // namespace ctrlexec
