// The results of a run as people read them.
#pragma once

#include <string_view>

#include "core/host_result.h"
#include "core/result_groups.h"

namespace ctrlexec {

// Stdout comes as the script wrote it; a missing line end is added only when something of ours follows.
class RunOutput {
  public:
    // To stdout, at once.
    void print(const RunResult& result);
    // Without what the script has printed, which has been shown already.
    void print_end(const RunResult& result);

    void print(const ResultGroup& group);

    // Whatever is printed now begins a line.
    void end() { start_line(); }

  private:
    void start_line();
    void print_header(const RunResult& result);
    void print_streams(const RunResult& result);
    void print_problems(const RunResult& result);
    void print_prefixed(std::string_view prefix, std::string_view text);
    bool at_line_start_ = true;
};

}  // namespace ctrlexec
