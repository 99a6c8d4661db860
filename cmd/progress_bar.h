// How far a run is, drawn over and over on the last line of a terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>

#include "core/progress_line.h"

namespace ctrlexec {

class ProgressBar {
  public:
    static constexpr std::chrono::milliseconds interval{100};  // to be drawn no more often

    // Not shown, and then all of this does nothing, when it is not wanted or stderr is no terminal that can
    // erase a line. NO_COLOR (https://no-color.org) is respected.
    ProgressBar(bool wanted, std::size_t total);

    bool shown() const { return shown_; }

    // As wide as the terminal is now. The cursor must be where a line begins.
    void draw(std::span<const ProgressCount> counts);

    // Before anything else is printed.
    void erase();

  private:
    bool shown_;
    bool colour_;
    std::size_t total_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::string drawn_;  // "": nothing
};

}  // namespace ctrlexec
