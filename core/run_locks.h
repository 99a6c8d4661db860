// One run of a script on a host at a time: locks/<host>--<script>.lock, held by flock(2).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/result.h"

namespace ctrlexec {

struct HeldLock {
    std::string name;  // "<host>--<script>"
    std::string host;  // as the holder wrote them; "" when it was a program that writes nothing
    std::string script;
    std::string reqid;
    std::string since;  // ISO 8601
    std::string pid;
};

class RunLocks {
  public:
    explicit RunLocks(std::string directory) : directory_(std::move(directory)) {}

    // Errc::locked at once when somebody else runs this script there. The file stays when the lock goes:
    // removing it would let two processes hold two files of one name.
    Result<FileLock> acquire(std::string_view host, std::string_view script, std::string_view reqid) const;

    // Whether acquire() would find it held.
    Result<bool> is_held(std::string_view host, std::string_view script) const;

    // What is held now; a directory that does not exist holds nothing.
    Result<std::vector<HeldLock>> held() const;

  private:
    std::string path_of(std::string_view host, std::string_view script) const;
    std::string directory_;
};

}  // namespace ctrlexec
