// What `run` shows of its results while they come, in the form that was asked for. Nothing is kept that has
// been printed: a thousand results may be a gigabyte.
#pragma once

#include <string>

#include "cmd/follow_output.h"
#include "cmd/progress_bar.h"
#include "cmd/run_options.h"
#include "cmd/run_output.h"
#include "core/result_groups.h"
#include "core/run_summary.h"

namespace ctrlexec {

class RunReport {
  public:
    explicit RunReport(const PlannedRun& plan);

    // Printed at once. A result counts also when there is nobody to read it any more.
    void add(RunResult result);
    void add_output(const std::string& host, const FollowLine& line);
    void say(const std::string& words);  // to stderr

    // With --progress, on a terminal: to be called often.
    bool shows_progress() const { return bar_.shown(); }
    void tick();

    // All results are there.
    void end();

    const RunSummary& summary() const { return summary_; }

  private:
    void print(RunResult result);
    void print_for_people(const RunResult& result);
    void keep_or_print(RunResult result);

    std::string program_;
    OutputFormat format_;
    RunSummary summary_;
    RunOutput human_;
    FollowOutput live_;
    bool one_screen_;  // results go to where the bar is drawn
    ProgressBar bar_;
    ResultGroups groups_;
    bool grouped_;
    bool groups_full_ = false;
    bool document_begun_ = false;
};

}  // namespace ctrlexec
