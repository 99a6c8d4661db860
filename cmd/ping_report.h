// What `ping` shows: a table or a document at the end, or a line of JSON for each result as it comes.
#pragma once

#include <vector>

#include "cmd/applet.h"
#include "cmd/output_format.h"
#include "cmd/progress_bar.h"
#include "core/host_result.h"

namespace ctrlexec {

class PingReport {
  public:
    // Borrows the call. Of so many hosts.
    PingReport(const Invocation& call, OutputFormat format, std::size_t hosts);

    void add(PingResult result);

    // With --progress, on a terminal: to be called often.
    bool shows_progress() const { return bar_.shown(); }
    void tick();

    // When what became of renewals is in the results, too.
    void end();

    std::vector<PingResult>& results() { return results_; }
    bool all_ok() const { return failed_ == 0; }

  private:
    void print_table() const;
    void print_document() const;
    void print_after_lines() const;
    void print_renewal_error(const PingResult& result) const;

    const Invocation& call_;
    OutputFormat format_;
    ProgressBar bar_;
    std::vector<PingResult> results_;
    std::size_t failed_ = 0;
};

}  // namespace ctrlexec
