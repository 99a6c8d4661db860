// A program that a gate has approved for execution. Only the gates can make one, and spawn takes nothing
// else: no path from a peer can reach execve without having passed a gate.
#pragma once

#include <string>
#include <utility>

namespace ctrlexec {

class ApprovedProgram {
  public:
    const std::string& path() const { return path_; }

  private:
    explicit ApprovedProgram(std::string path) : path_(std::move(path)) {}
    friend class Allowlist;
    friend class AuthHook;
    friend struct JobSpec;
    friend struct OwnProgram;
    friend struct ApprovedProgramForTest;
    std::string path_;  // absolute
};

}  // namespace ctrlexec
