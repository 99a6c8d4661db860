#include "cmd/confirm.h"

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

bool has_operator() {
    return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
}

}  // namespace ctrlexec
