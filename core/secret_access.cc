#include "core/secret_access.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

#include "core/file.h"

namespace ctrlexec {
namespace {

constexpr mode_t everybody = 0007;

// Why everybody must not have this access to the file, or nothing; `resolved` is its path without symlinks.
std::string access_problem(const std::string& path, const std::string& resolved, mode_t mode,
                           std::string_view kind, std::string_view secrets) {
    const bool is_secret = resolved.starts_with(std::string(secrets) + "/");
    if (!is_secret || (mode & S_IWOTH) != 0) {
        return fmt::format(
            "everybody on this machine may access this {} (mode {:04o}); run `chmod "
            "600 {}` (only below {} may everybody read one)",
            kind, mode & 07777u, path, secrets);
    }
    for (std::string directory = directory_of(resolved); directory.size() >= secrets.size();
         directory = directory_of(directory)) {
        struct stat status {};
        if (::stat(directory.c_str(), &status) == 0 && (status.st_mode & S_IWOTH) == 0) continue;
        return fmt::format("everybody may write {}, so this {} could be anybody's; run `chmod o-w {}`",
                           directory, kind, directory);
    }
    return {};
}

}  // namespace

Result<void> check_secret_access(const std::string& path, std::string_view kind, std::string_view secrets) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return errno_error("read", path, errno);
    if (!S_ISREG(status.st_mode) || (status.st_mode & everybody) == 0) return success();
    const auto resolved = resolve_path(path);
    if (!resolved) return errno_error("read", path, errno);
    const std::string problem = access_problem(path, *resolved, status.st_mode, kind, secrets);
    return problem.empty() ? success() : fail(Errc::crypto, fmt::format("{}: {}", path, problem));
}

}  // namespace ctrlexec
