// The scripts that run now, so that a shutdown can end them in an orderly way.
#pragma once

#include <memory>
#include <set>

#include "net/child_run.h"

namespace ctrlexec {

class RunningChildren {
  public:
    void add(const std::shared_ptr<ChildRun>& run) { runs_.insert(run); }
    void remove(const std::shared_ptr<ChildRun>& run) { runs_.erase(run); }

    // TERM to each process group, KILL after `grace`; run_child then returns with the signal.
    void terminate_all(std::chrono::milliseconds grace) const {
        for (const auto& run : runs_) run->terminate(grace);
    }

  private:
    std::set<std::shared_ptr<ChildRun>> runs_;
};

}  // namespace ctrlexec
