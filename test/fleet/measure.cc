#include "test/fleet/measure.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <cstring>

extern char** environ;

namespace ctrlexec::fleet {
namespace {

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// errno of the start, 0 when it ran.
int run_once(char* const* argv, const posix_spawn_file_actions_t& actions) {
    const auto start = std::chrono::steady_clock::now();
    pid_t pid = 0;
    if (const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv, environ); error != 0)
        return error;
    int status = 0;
    rusage used{};
    while (wait4(pid, &status, 0, &used) < 0) {
    }
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
    fmt::print("{{\"wall\":{},\"user\":{},\"system\":{},\"maxrss\":{},\"exit\":{}}}\n", wall.count(),
               seconds(used.ru_utime), seconds(used.ru_stime), used.ru_maxrss * 1024,
               WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    std::fflush(stdout);
    return 0;
}

}  // namespace

int measure(int times, const std::string& output, const std::vector<std::string>& words) {
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    int error = 0;
    for (int i = 0; i < times && error == 0; ++i) error = run_once(argv.data(), actions);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0)
        fmt::print(stderr, "ctrl-exec-fleet: cannot start {}: {}\n", words[0], std::strerror(error));
    return error == 0 ? 0 : 1;
}

}  // namespace ctrlexec::fleet
