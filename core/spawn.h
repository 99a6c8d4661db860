// Starting a child process: the synchronous half. vfork, then raw system calls only, then execve of an
// absolute path; an error pipe brings the reason back when it fails.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/approved_program.h"
#include "core/credentials.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace ctrlexec {

// What to start.
struct SpawnPlan {
    explicit SpawnPlan(ApprovedProgram approved) : program(std::move(approved)) {}

    ApprovedProgram program;               // execve'd by its path, no shell, no PATH search
    std::string name;                      // argv[0]; "": the path
    std::vector<std::string> arguments;    // argv[1..]
    std::vector<std::string> environment;  // KEY=value; nothing is inherited
    std::string directory = "/";           // chdir before exec, as the user of `credentials`
    // Whom the program runs as; it can gain no privileges then, not even from set-user-id programs. Without
    // them it runs as we do.
    std::optional<Credentials> credentials;
    mode_t umask = 022;
    int nice = 0;                // setpriority(2); 0: ours
    bool capture_output = true;  // false: stdout and stderr go to /dev/null
};

// A started child, in its own session and process group (pgid == pid). The owner must reap it.
struct SpawnedChild {
    pid_t pid = -1;
    UniqueFd pidfd;   // readable once the child has exited (pidfd_open(2))
    UniqueFd input;   // our write end of its stdin; O_NONBLOCK
    UniqueFd output;  // our read end of its stdout; O_NONBLOCK; invalid when not captured
    UniqueFd error;   // our read end of its stderr; likewise
};

// Blocks only until exec has happened (microseconds). Errc::not_found / denied / io when exec failed, with
// the errno text in the message; then the child is already reaped.
Result<SpawnedChild> spawn(const SpawnPlan& plan);

}  // namespace ctrlexec
