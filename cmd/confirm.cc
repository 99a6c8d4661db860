#include "cmd/confirm.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>

namespace ctrlexec {

bool confirmed(const std::string& question) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s [y/N]: ", question.c_str());
    char answer[16] = {};
    const bool answered = std::fgets(answer, sizeof answer, stdin) != nullptr;
    return answered && (answer[0] == 'y' || answer[0] == 'Y');
}

bool confirmed_on_terminal(const std::string& question, int seconds) {
    ::tcflush(STDIN_FILENO, TCIFLUSH);
    std::printf("%s [y/N] ", question.c_str());
    std::fflush(stdout);
    pollfd typed{STDIN_FILENO, POLLIN, 0};
    if (::poll(&typed, 1, seconds * 1000) != 1) return false;
    char answer[256] = {};
    return ::read(STDIN_FILENO, answer, sizeof answer) > 1 && (answer[0] == 'y' || answer[0] == 'Y');
}

bool has_operator() {
    return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
}

}  // namespace ctrlexec
