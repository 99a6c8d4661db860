// Started children in tests: scripts in a directory that goes away, and a child run to its end without a
// loop.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/spawn.h"
#include "test/approved_program_for_test.h"

namespace ctrlexec::spawn_test {

class TempDir {
  public:
    TempDir() {
        char name[] = "/tmp/spawn-test-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        path_ = name;
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    // Closed before it returns, or execve could meet ETXTBSY.
    std::string file(const std::string& name, const std::string& text, mode_t mode) const {
        const std::string path = path_ + "/" + name;
        const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        REQUIRE(::fchmod(fd.get(), mode) == 0);
        return path;
    }
    std::string script(const std::string& body) const { return file("script", "#!/bin/sh\n" + body, 0755); }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

inline std::string read_to_end(const UniqueFd& fd) {
    std::string text;
    char chunk[4096];
    for (;;) {
        const ssize_t count = ::read(fd.get(), chunk, sizeof chunk);
        if (count > 0) text.append(chunk, static_cast<std::size_t>(count));
        if (count == 0) return text;
        if (count < 0 && errno == EAGAIN) {
            struct pollfd ready = {fd.get(), POLLIN, 0};
            ::poll(&ready, 1, -1);
        } else if (count < 0 && errno != EINTR) {
            return text;
        }
    }
}

struct Finished {
    std::string output;
    std::string error;
    int status = 0;  // as of wait(2)
};

inline Finished finish(SpawnedChild child) {
    child.input.reset();
    Finished result;
    if (child.output) result.output = read_to_end(child.output);
    if (child.error) result.error = read_to_end(child.error);
    REQUIRE(::waitpid(child.pid, &result.status, 0) == child.pid);
    return result;
}

inline Finished run(const SpawnPlan& plan) {
    auto child = spawn(plan);
    REQUIRE_MESSAGE(child, (child ? std::string() : child.error().text()));
    return finish(std::move(*child));
}

inline SpawnPlan plan_for(std::string path, std::vector<std::string> arguments = {}) {
    SpawnPlan plan(ApprovedProgramForTest::approve(std::move(path)));
    plan.arguments = std::move(arguments);
    plan.environment = {"PATH=/usr/bin:/bin"};
    return plan;
}

inline Error failure_of(const SpawnPlan& plan) {
    auto child = spawn(plan);
    REQUIRE_FALSE(child);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);  // nothing stays behind
    CHECK(errno == ECHILD);
    return child.error();
}

inline std::size_t open_descriptors() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        static_cast<void>(entry);
        ++count;
    }
    return count;
}

inline bool mentions(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace ctrlexec::spawn_test
