#include "core/own_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "core/file.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_own_file = 128 * 1024;

}  // namespace

Result<json::Value> read_own_file(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        if (errno == ENOENT) return fail(Errc::not_found, path + " does not exist");
        return errno_error("read", path, errno);
    }
    if (!S_ISREG(status.st_mode)) return fail(Errc::config, path + " is not a regular file");
    if (status.st_uid != ::geteuid())
        return fail(Errc::config, fmt::format("{} belongs to uid {}, not to us", path, status.st_uid));
    if ((status.st_mode & 077) != 0) return fail(Errc::config, path + " may be accessed by others");
    TRY(const std::string text, read_file(path, max_own_file));
    auto value = json::parse(text, max_own_file);
    if (!value || value->if_object() == nullptr) return fail(Errc::config, path + " holds no JSON object");
    return value;
}

}  // namespace ctrlexec
