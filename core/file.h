// Files that are whole or absent: temporary file, fsync, rename, fsync of the directory.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/unique_fd.h"

namespace ctrlexec {

// Reads a regular file of at most `max_bytes`. Errc::not_found when it does not exist, too_large above the
// limit, io otherwise. Opens with O_NONBLOCK so that a FIFO on a hostile volume cannot hang us; anything but
// a regular file is refused.
Result<std::string> read_file(const std::string& path, std::size_t max_bytes);

// Replaces `path` atomically with mode `mode` (the umask is not applied). The temporary file is created 0600
// before any data is written. On failure `path` is untouched and no temporary file stays behind.
Result<void> write_file_atomic(const std::string& path, std::string_view data, mode_t mode);

// The same, but a file that is there keeps its owner, group and mode; `mode` is for a new one.
Result<void> replace_file_atomic(const std::string& path, std::string_view data, mode_t mode);

// As write_file_atomic, but Errc::exists when `path` is already there; decided atomically, by renameat2(2).
Result<void> create_file_atomic(const std::string& path, std::string_view data, mode_t mode);

// Several files that belong together. stage() writes and fsyncs temporary files, so a full disk is met
// before the first real file changes; commit() renames them in order. Dropped stages are removed.
class FileSet {
  public:
    FileSet() = default;
    FileSet(const FileSet&) = delete;
    FileSet& operator=(const FileSet&) = delete;
    ~FileSet();

    Result<void> stage(const std::string& path, std::string_view data, mode_t mode);
    Result<void> commit();

  private:
    struct Staged {
        std::string temporary;
        std::string path;
    };
    std::vector<Staged> staged_;
};

// Deletes a file; a missing one is success. The directory is fsynced.
Result<void> remove_file(const std::string& path);

// Creates the directory with `mode` and its parents with 0755 when missing.
Result<void> make_directories(const std::string& path, mode_t mode);

// Names of the regular entries (no dot files), sorted; at most `max_entries`, else Errc::too_large.
Result<std::vector<std::string>> list_directory(const std::string& path, std::size_t max_entries);

// Deletes the entries that `is_ours` accepts by name and that were last written before `cutoff` (seconds
// since the epoch). A directory that does not exist holds none. By the time of the file: reading them would
// cost more with each one.
Result<void> remove_files_before(const std::string& directory, std::int64_t cutoff,
                                 bool (*is_ours)(std::string_view name));

// The directory part of a path: "/etc" of "/etc/hosts", "/" of "/hosts", "." of "hosts".
std::string directory_of(const std::string& path);

bool file_exists(const std::string& path);

// The path with every symlink resolved (realpath(3)); nothing when it does not exist.
std::optional<std::string> resolve_path(const std::string& path);

// Nanoseconds since the epoch, 0 when there is no such file.
std::int64_t modified_at(const std::string& path);

// Succeeds when a file can be created in `directory`; the error names owner, our uid and the remedy.
Result<void> check_writable(const std::string& directory);

// An exclusive flock(2), released when the object goes, and by the kernel when the process dies.
class FileLock {
  public:
    enum class Wait { no, yes };
    // Creates the lock file (0600) when missing. With Wait::no a held lock is Errc::locked at once.
    static Result<FileLock> acquire(const std::string& path, Wait wait);
    // Whether somebody holds it now. The probe is a shared lock held for an instant, which acquire()
    // outlasts.
    static Result<bool> is_held(const std::string& path);
    // Replaces the lock file's content with a note about its holder, followed by blanks where a longer one
    // stood.
    Result<void> write(std::string_view note);

  private:
    FileLock(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
    UniqueFd fd_;
    std::string path_;
};

// "cannot WHAT PATH: No space left on device" with the remedy for the errno values people meet. Where we lack
// a permission it names the path that is in the way, its owner and our uid.
Error errno_error(std::string_view what, const std::string& path, int error_number);

}  // namespace ctrlexec
