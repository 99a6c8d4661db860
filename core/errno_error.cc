// What a failed system call means to people: the words, whose file is in the way, and the remedy.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/file.h"

namespace ctrlexec {
namespace {

// The path whose owner or mode is in the way. Entries are made, replaced and removed in a directory, so for
// all that is not reading it is the directory's; below a directory that we may not enter nothing can be seen.
std::string at_fault(std::string_view what, const std::string& path) {
    struct stat status {};
    std::string found = path;
    while (::stat(found.c_str(), &status) != 0) {
        std::string parent = directory_of(found);
        if (parent == found) break;
        found = std::move(parent);
    }
    if (found != path || S_ISDIR(status.st_mode)) return found;
    if (what == "read" || what == "run") return path;
    const bool closed = ::faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK, AT_EACCESS) != 0;
    return what == "open lock" && closed ? path : directory_of(path);
}

// One line that says what to do about a volume of another user's: path, owner, who we are.
std::string ownership(std::string_view what, const std::string& path) {
    const std::string culprit = at_fault(what, path);
    struct stat status {};
    if (::stat(culprit.c_str(), &status) != 0) return "check owner and mode, or run as the right user";
    if (status.st_uid == ::geteuid()) {
        return fmt::format("check owner and mode: {} is ours (uid {}) and has mode {:04o}", culprit,
                           status.st_uid, status.st_mode & 07777u);
    }
    return fmt::format(
        "check owner and mode: {} belongs to uid {}, we run as uid {}; chown it, or run as its owner",
        culprit, status.st_uid, ::geteuid());
}

std::string remedy(std::string_view what, const std::string& path, int error_number) {
    switch (error_number) {
        case EACCES:
        case EPERM:
            return ownership(what, path);
        case ENOSPC:
        case EDQUOT:
            return "free some space on that file system";
        case EROFS:
            return "the file system is read-only; mount a writable volume there";
        case ENOENT:
            return "create it, or correct the path";
        case ENOTDIR:
            return "a part of the path is not a directory";
        case EISDIR:
            return "a directory is in the way";
        case EBUSY:
            return "it is a mount of its own and cannot be replaced; mount its directory instead";
        case EMFILE:
        case ENFILE:
            return "raise the limit of open files";
        default:
            return "";
    }
}

}  // namespace

Error errno_error(std::string_view what, const std::string& path, int error_number) {
    std::string message = fmt::format("cannot {} {}: {}", what, path, std::strerror(error_number));
    if (const auto hint = remedy(what, path, error_number); !hint.empty()) message += "; " + hint;
    const Errc code = error_number == ENOENT   ? Errc::not_found
                      : error_number == EEXIST ? Errc::exists
                                               : Errc::io;
    return fail(code, std::move(message));
}

}  // namespace ctrlexec
