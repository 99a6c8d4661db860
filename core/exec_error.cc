#include "core/exec_error.h"

#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace ctrlexec {
namespace {

std::string errno_text(int number) {
    return std::generic_category().message(number);
}

std::string who(const Credentials& credentials) {
    return credentials.user.empty()
               ? "user " + std::to_string(credentials.uid) + " with group " + std::to_string(credentials.gid)
               : "user '" + credentials.user + "'";
}

Error not_started(const SpawnPlan& plan, const std::string& why, const std::string& call, int number) {
    return fail(number == EPERM ? Errc::denied : Errc::io,
                plan.program.path() + ": cannot be started: " + why, call + ": " + errno_text(number));
}

std::string execute_reason(const SpawnPlan& plan, int number) {
    struct stat status = {};
    const bool present = ::stat(plan.program.path().c_str(), &status) == 0;
    switch (number) {
        case ENOENT:
            return present ? "its interpreter or loader does not exist; check the #! line, also for a "
                             "Windows line ending"
                           : "no such file";
        case EACCES:
            if (present && S_ISDIR(status.st_mode)) return "is a directory, not a program";
            if (plan.credentials)
                return "not executable for " + who(*plan.credentials) +
                       "; check its mode, its interpreter, the directories on the way to it, and that the "
                       "file "
                       "system is not mounted noexec";
            return "not executable; chmod +x it, and check its interpreter, its directories and that the "
                   "file system is not mounted noexec";
        case ENOEXEC:
            return "not a program: no #! line; start the script with one, such as #!/bin/sh";
        case E2BIG:
            return "the arguments are too long for the system";
        case EAGAIN:
            return "too many processes of its user; raise the limit (ulimit -u)";
        case ETXTBSY:
            return "is open for writing; try again when it is complete";
        default:
            return errno_text(number);
    }
}

}  // namespace

Error exec_error(const SpawnPlan& plan, const ExecFailure& failure) {
    const int number = failure.error_number;
    const Errc code = number == ENOENT ? Errc::not_found : number == EACCES ? Errc::denied : Errc::io;
    const std::string user = plan.credentials ? who(*plan.credentials) : std::string();
    switch (failure.step) {
        case ExecStep::execute:
            return fail(code, plan.program.path() + ": " + execute_reason(plan, number),
                        "execve: " + errno_text(number));
        case ExecStep::change_directory:
            return fail(code,
                        plan.directory + ": cannot be the working directory of " + plan.program.path() +
                            (plan.credentials ? " for " + who(*plan.credentials) : ""),
                        "chdir: " + errno_text(number));
        case ExecStep::change_priority:
            return not_started(plan, "its priority cannot be set to " + std::to_string(plan.nice),
                               "setpriority", number);
        case ExecStep::set_groups:
            return not_started(plan, "the groups of " + user + " cannot be taken on", "setgroups", number);
        case ExecStep::set_group:
            return not_started(plan, "the group of " + user + " cannot be taken on", "setresgid", number);
        case ExecStep::set_user:
            return not_started(plan, "the agent cannot become " + user, "setresuid", number);
        case ExecStep::drop_capabilities:
            return not_started(plan, "the agent's capabilities cannot be dropped", "capset", number);
        case ExecStep::verify_user:
            return not_started(plan, "the agent's privileges could not be given up for good", "verify",
                               number);
        case ExecStep::forbid_privileges:
            return not_started(plan, "new privileges cannot be forbidden", "PR_SET_NO_NEW_PRIVS", number);
        case ExecStep::prepare:
            break;
    }
    return fail(code, plan.program.path() + ": cannot be started", errno_text(number));
}

}  // namespace ctrlexec
