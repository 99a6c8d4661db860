// Usage: spawn_rate SECONDS
// How many /bin/true one process starts and reaps in a second, one after the other: prints the rate. The
// yardstick for what runs a second can cost on this machine.
#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

extern char** environ;

int main(int argc, char** argv) {
    using Clock = std::chrono::steady_clock;
    const double wanted = argc == 2 ? std::atof(argv[1]) : 0;
    if (wanted <= 0 || wanted > 60) return 2;
    char path[] = "/bin/true";
    char* const words[] = {path, nullptr};
    const auto start = Clock::now();
    long count = 0;
    double seconds = 0;
    do {
        pid_t pid = 0;
        int status = 0;
        // glibc's posix_spawn is vfork and execve, as in core/spawn.
        if (posix_spawn(&pid, path, nullptr, nullptr, words, environ) != 0) return 1;
        if (waitpid(pid, &status, 0) != pid || status != 0) return 1;
        ++count;
        seconds = std::chrono::duration<double>(Clock::now() - start).count();
    } while (seconds < wanted);
    std::printf("%.1f\n", static_cast<double>(count) / seconds);
    return 0;
}
