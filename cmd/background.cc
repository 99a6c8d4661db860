#include "cmd/background.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "cmd/print.h"
#include "core/file.h"

namespace ctrlexec {

namespace {

// /dev/null, or in a root directory without devices a pipe that nobody reads.
UniqueFd open_nowhere() {
    UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    int ends[2];
    if (null || ::pipe2(ends, O_CLOEXEC) != 0) return null;
    ::close(ends[0]);
    return UniqueFd(ends[1]);
}

}  // namespace

Result<Background> Background::start() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error("make", "a pipe", errno);
    UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child < 0) return errno_error("start", "a background process", errno);
    if (child > 0) return Background(child, std::move(read_end));
    return Background(0, std::move(write_end));
}

int Background::relay() {
    std::string output;
    char buffer[256];
    for (;;) {
        const ssize_t n = ::read(pipe_.get(), buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        output.append(buffer, static_cast<std::size_t>(n));
    }
    if (!output.empty()) {
        print_out(output);
        return 0;
    }
    int status = 0;
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1;
}

void Background::detach(const std::string& output) {
    ::setsid();
    const UniqueFd nowhere = open_nowhere();
    if (nowhere) {
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nowhere.get(), fd);
    }
    // Last: when the parent has read it, the caller goes on and must not find us on its stdout.
    ssize_t n = 0;
    do {
        n = ::write(pipe_.get(), output.data(), output.size());
    } while (n < 0 && errno == EINTR);
    pipe_.reset();
}

}  // namespace ctrlexec
