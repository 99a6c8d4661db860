// An exclusive lock on a directory, for those who change files in it together.
#pragma once

#include <string>

#include "core/result.h"
#include "core/unique_fd.h"

namespace ctrlexec {

// flock(2) on the directory itself: no lock file that stays behind, and it ends with the process. A file
// system that cannot lock a directory (NFS) has none: then what is written is still whole, but of two who
// write at the same moment one may be lost.
class DirectoryLock {
  public:
    // Waits a few seconds, blocking: offload it from a loop thread. Errc::locked when the holder does not
    // end.
    static Result<DirectoryLock> acquire(const std::string& directory);

  private:
    explicit DirectoryLock(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace ctrlexec
