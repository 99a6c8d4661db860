// A command that hands its first output to the caller and goes on in the background.
#pragma once

#include <sys/types.h>

#include <string>

#include "core/result.h"
#include "core/unique_fd.h"

namespace ctrlexec {

class Background {
  public:
    // Forks; must be called before any thread or loop exists. The child still has the caller's stdout and
    // stderr, so that errors before detach() reach the caller.
    static Result<Background> start();

    bool is_parent() const { return child_ > 0; }

    // In the parent: prints what the child hands over and returns 0, or the child's exit code when it ended
    // before that.
    int relay();

    // In the child: hands `output` to the parent and lets go of the terminal, stdin, stdout and stderr, so
    // that X=$(…) in a shell returns at once.
    void detach(const std::string& output);
    bool detached() const { return !pipe_; }

  private:
    Background(pid_t child, UniqueFd pipe) : child_(child), pipe_(std::move(pipe)) {}
    pid_t child_;
    UniqueFd pipe_;  // parent: read end, child: write end
};

}  // namespace ctrlexec
