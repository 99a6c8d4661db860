#include "core/directory_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "core/file.h"

namespace ctrlexec {

Result<DirectoryLock> DirectoryLock::acquire(const std::string& directory) {
    constexpr int pause_microseconds = 10'000;
    constexpr int max_tries = 500;  // 5 s: holders only write a few files
    UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return errno_error("open", directory, errno);
    for (int tries = 0; ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0;) {
        if (errno == EINTR) continue;
        if (errno != EWOULDBLOCK) break;
        if (++tries == max_tries) {
            return fail(Errc::locked,
                        fmt::format("another process is changing files in {}; try again", directory));
        }
        ::usleep(pause_microseconds);
    }
    return DirectoryLock(std::move(fd));
}

}  // namespace ctrlexec
