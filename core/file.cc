#include "core/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "core/digest.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_purged = 10'000'000;  // names in memory at the same time

Result<void> sync_directory(const std::string& directory) {
    const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return errno_error("open", directory, errno);
    // EINVAL: a file system without directory sync (some FUSE mounts) has nothing for us to wait for.
    if (::fsync(fd.get()) != 0 && errno != EINVAL) return errno_error("sync", directory, errno);
    return success();
}

Result<void> write_all(int fd, std::string_view data, const std::string& path) {
    while (!data.empty()) {
        const ssize_t n = ::write(fd, data.data(), data.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error("write", path, errno);
        data.remove_prefix(static_cast<std::size_t>(n));
    }
    return success();
}

// A durable temporary file beside `path`; its name starts with a dot so that directory listings skip it.
Result<std::string> write_temporary(const std::string& path, std::string_view data, mode_t mode) {
    const std::string directory = directory_of(path);
    const std::string base = path.substr(path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1);
    std::string temporary = fmt::format("{}/.{}.{}.tmp", directory, base, random_hex(6));
    const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return errno_error("write", path, errno);
    auto written = write_all(fd.get(), data, path);
    if (written && ::fchmod(fd.get(), mode) != 0) written = errno_error("set the mode of", path, errno);
    if (written && ::fsync(fd.get()) != 0) written = errno_error("sync", path, errno);
    if (!written) {
        ::unlink(temporary.c_str());
        return std::move(written).error();
    }
    return temporary;
}

// False, with errno and without the temporary file, when it cannot be done: EEXIST where something is.
bool rename_to_new(const std::string& temporary, const std::string& path) {
    constexpr unsigned no_replace = 1;  // RENAME_NOREPLACE; musl has no renameat2()
    if (::syscall(SYS_renameat2, AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), no_replace) == 0)
        return true;
    // Some network file systems cannot; there a kill in between leaves two names.
    const bool unknown = errno == EINVAL || errno == ENOSYS;
    const bool linked = unknown && ::link(temporary.c_str(), path.c_str()) == 0;
    const int saved = errno;
    ::unlink(temporary.c_str());
    errno = saved;
    return linked;
}

}  // namespace

std::string directory_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Result<std::string> read_file(const std::string& path, std::size_t max_bytes) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (!fd) return errno_error("read", path, errno);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return errno_error("read", path, errno);
    if (!S_ISREG(status.st_mode))
        return fail(Errc::io, fmt::format("cannot read {}: not a regular file", path));
    std::string data;
    data.reserve(std::min<std::size_t>(static_cast<std::size_t>(status.st_size), max_bytes));
    char buffer[16384];
    for (;;) {
        const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error("read", path, errno);
        if (n == 0) return data;
        data.append(buffer, static_cast<std::size_t>(n));
        if (data.size() > max_bytes) {
            return fail(Errc::too_large,
                        fmt::format("cannot read {}: larger than {} bytes", path, max_bytes));
        }
    }
}

Result<void> write_file_atomic(const std::string& path, std::string_view data, mode_t mode) {
    FileSet one;
    TRY_DO(one.stage(path, data, mode));
    return one.commit();
}

Result<void> replace_file_atomic(const std::string& path, std::string_view data, mode_t mode) {
    struct stat old {};
    const bool exists = ::stat(path.c_str(), &old) == 0;
    TRY(const std::string temporary, write_temporary(path, data, exists ? old.st_mode & 0777u : mode));
    const bool owned = !exists || ::chown(temporary.c_str(), old.st_uid, old.st_gid) == 0;
    if (!owned || ::rename(temporary.c_str(), path.c_str()) != 0) {
        const int saved = errno;
        ::unlink(temporary.c_str());
        return errno_error("replace", path, saved);
    }
    return sync_directory(directory_of(path));
}

Result<void> create_file_atomic(const std::string& path, std::string_view data, mode_t mode) {
    TRY(const std::string temporary, write_temporary(path, data, mode));
    const bool made = rename_to_new(temporary, path);
    const int saved = errno;
    if (!made) {
        if (saved == EEXIST) return fail(Errc::exists, fmt::format("{} exists and is kept", path));
        return errno_error("create", path, saved);
    }
    return sync_directory(directory_of(path));
}

FileSet::~FileSet() {
    for (const auto& staged : staged_) ::unlink(staged.temporary.c_str());
}

Result<void> FileSet::stage(const std::string& path, std::string_view data, mode_t mode) {
    // What a rename would fail on must be met before the first one is done.
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
        return errno_error("write", path, EISDIR);
    TRY(std::string temporary, write_temporary(path, data, mode));
    staged_.push_back({std::move(temporary), path});
    return success();
}

Result<void> FileSet::commit() {
    while (!staged_.empty()) {
        const auto& next = staged_.front();
        if (::rename(next.temporary.c_str(), next.path.c_str()) != 0)
            return errno_error("replace", next.path, errno);
        const std::string directory = directory_of(next.path);
        staged_.erase(staged_.begin());
        TRY_DO(sync_directory(directory));
    }
    return success();
}

Result<void> remove_file(const std::string& path) {
    if (::unlink(path.c_str()) != 0) {
        if (errno == ENOENT) return success();
        return errno_error("remove", path, errno);
    }
    return sync_directory(directory_of(path));
}

Result<void> make_directories(const std::string& path, mode_t mode) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return success();  // as nearly always
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const std::string part = path.substr(0, end);
        // Slashes at the end name nothing more: `mode` is for the last part, which may have to be private.
        const bool last = path.find_first_not_of('/', end) == std::string::npos;
        if (::mkdir(part.c_str(), last ? mode : 0755) != 0 && errno != EEXIST)
            return errno_error("create directory", part, errno);
        if (end == std::string::npos) break;
    }
    if (::stat(path.c_str(), &status) != 0) return errno_error("use directory", path, errno);
    if (!S_ISDIR(status.st_mode)) return errno_error("use directory", path, ENOTDIR);
    return success();
}

Result<std::vector<std::string>> list_directory(const std::string& path, std::size_t max_entries) {
    struct Close {
        void operator()(DIR* dir) const { ::closedir(dir); }
    };
    const std::unique_ptr<DIR, Close> dir(::opendir(path.c_str()));
    if (!dir) return errno_error("list", path, errno);
    std::vector<std::string> names;
    for (errno = 0; const dirent* entry = ::readdir(dir.get()); errno = 0) {
        if (entry->d_name[0] == '.') continue;
        if (names.size() == max_entries) {
            return fail(Errc::too_large,
                        fmt::format("cannot list {}: more than {} entries", path, max_entries));
        }
        names.emplace_back(entry->d_name);
    }
    if (errno != 0) return errno_error("list", path, errno);
    std::sort(names.begin(), names.end());
    return names;
}

Result<void> remove_files_before(const std::string& directory, std::int64_t cutoff,
                                 bool (*is_ours)(std::string_view name)) {
    if (!file_exists(directory)) return success();
    TRY(const auto names, list_directory(directory, max_purged));
    bool removed = false;
    for (const auto& name : names) {
        const std::string path = fmt::format("{}/{}", directory, name);
        const std::int64_t written = is_ours(name) ? modified_at(path) / 1'000'000'000 : 0;
        if (written == 0 || written >= cutoff) continue;
        if (::unlink(path.c_str()) != 0 && errno != ENOENT) return errno_error("remove", path, errno);
        removed = true;
    }
    return removed ? sync_directory(directory) : success();
}

bool file_exists(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0;
}

std::optional<std::string> resolve_path(const std::string& path) {
    struct Free {
        void operator()(char* text) const { ::free(text); }  // NOLINT: realpath allocates with malloc
    };
    const std::unique_ptr<char, Free> resolved(::realpath(path.c_str(), nullptr));
    if (!resolved) return std::nullopt;
    return std::string(resolved.get());
}

std::int64_t modified_at(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return 0;
    return std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

Result<void> check_writable(const std::string& directory) {
    const std::string probe = fmt::format("{}/.write-test.{}.tmp", directory, random_hex(6));
    const UniqueFd fd(::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd) {
        ::unlink(probe.c_str());
        return success();
    }
    return errno_error("write to", directory, errno);
}

Result<FileLock> FileLock::acquire(const std::string& path, Wait wait) {
    constexpr int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    UniqueFd fd(::open(path.c_str(), flags));  // as nearly always; O_CREAT costs many times as much
    if (!fd && errno == ENOENT) fd.reset(::open(path.c_str(), flags | O_CREAT, 0600));
    if (!fd) return errno_error("open lock", path, errno);
    int tries = 0;
    while (::flock(fd.get(), LOCK_EX | (wait == Wait::no ? LOCK_NB : 0)) != 0) {
        if (errno == EINTR) continue;
        // is_held() may be probing: its lock is gone within microseconds.
        if (errno == EWOULDBLOCK && ++tries < 5) {
            ::usleep(1000);
            continue;
        }
        if (errno == EWOULDBLOCK)
            return fail(Errc::locked, fmt::format("{} is held by another process", path));
        return errno_error("lock", path, errno);
    }
    return FileLock(std::move(fd), path);
}

Result<void> FileLock::write(std::string_view note) {
    constexpr off_t longest = 4096;
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) return errno_error("write", path_, errno);
    // Some file systems write a file that was truncated to the disk when it is closed: milliseconds for each.
    const bool foreign = status.st_size > longest;
    if (foreign && ::ftruncate(fd_.get(), 0) != 0) return errno_error("write", path_, errno);
    std::string text(note);
    if (!foreign) text.resize(std::max(text.size(), static_cast<std::size_t>(status.st_size)), ' ');
    if (::lseek(fd_.get(), 0, SEEK_SET) != 0) return errno_error("write", path_, errno);
    return write_all(fd_.get(), text, path_);
}

Result<bool> FileLock::is_held(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!fd && errno == ENOENT) return false;
    if (!fd) return errno_error("open lock", path, errno);
    return ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace ctrlexec
