#include "cmd/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace ctrlexec {
namespace {

constexpr std::size_t usual_columns = 80;
constexpr std::string_view erase_line = "\r\x1b[K";

bool can_be_drawn_on() {
    const char* terminal = std::getenv("TERM");
    return ::isatty(STDERR_FILENO) == 1 && terminal != nullptr && *terminal != '\0' &&
           std::string_view(terminal) != "dumb";
}

bool wants_colour() {
    const char* no_colour = std::getenv("NO_COLOR");
    return no_colour == nullptr || *no_colour == '\0';
}

std::size_t columns_of_terminal() {
    winsize size{};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return usual_columns;
    return size.ws_col;
}

void write(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace

ProgressBar::ProgressBar(bool wanted, std::size_t total)
    : shown_(wanted && can_be_drawn_on()), colour_(wants_colour()), total_(total) {}

void ProgressBar::draw(std::span<const ProgressCount> counts) {
    if (!shown_) return;
    const auto elapsed = std::chrono::steady_clock::now() - start_;
    // A character in the last column would make some terminals begin another line.
    std::string line =
        progress_line(counts, total_, std::chrono::duration_cast<std::chrono::seconds>(elapsed),
                      columns_of_terminal() - 1, colour_);
    if (line == drawn_) return;
    std::fflush(stdout);
    write(std::string(erase_line) + line);
    drawn_ = std::move(line);
}

void ProgressBar::erase() {
    if (drawn_.empty()) return;
    write(erase_line);
    drawn_.clear();
}

}  // namespace ctrlexec
