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
            return "not executable; chmod +x it, and check its interpreter, its directories and that the "
                   "file system is not mounted noexec";
        case ENOEXEC:
            return "not a program: no #! line; start the script with one, such as #!/bin/sh";
        case E2BIG:
            return "the arguments are too long for the system";
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
    switch (failure.step) {
        case ExecStep::execute:
            return fail(code, plan.program.path() + ": " + execute_reason(plan, number),
                        "execve: " + errno_text(number));
        case ExecStep::change_directory:
            return fail(code, plan.directory + ": cannot be the working directory of " + plan.program.path(),
                        "chdir: " + errno_text(number));
        case ExecStep::prepare:
            break;
    }
    return fail(code, plan.program.path() + ": cannot be started", errno_text(number));
}

}  // namespace ctrlexec
