// The small process that stands by one detached job: it outlives the agent, keeps the script's output in
// files and records how the script ended.
#pragma once

#include <string>

namespace ctrlexec {

// argv[0] of a supervisor; its one argument is the job's directory. No verb of anybody: the agent starts it.
inline constexpr const char* job_supervisor_name = "ctrl-exec-job";

// All of that process; returns its exit code. On stdin it finds a JobSpec. SIGUSR1 cancels the job; SIGTERM
// does the same, and means that the machine goes down.
int supervise_job(const std::string& directory);

}  // namespace ctrlexec
