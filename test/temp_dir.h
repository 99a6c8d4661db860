// A directory of a test's own, gone when the test ends, and a process of its own for what must not be done to
// the test's process: limits, other users, locks.
#pragma once

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/unique_fd.h"

namespace ctrlexec::testing {

class TempDir {
  public:
    TempDir() {
        path_ = (std::filesystem::temp_directory_path() / "ctrl-exec-test.XXXXXX").string();
        REQUIRE(::mkdtemp(path_.data()) != nullptr);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    const std::string& path() const { return path_; }
    std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

    std::string put(std::string_view name, std::string_view content, mode_t mode = 0644) const {
        std::ofstream(*this / name, std::ios::binary) << content;
        REQUIRE(::chmod((*this / name).c_str(), mode) == 0);
        return *this / name;
    }
    std::string directory(std::string_view name, mode_t mode = 0755) const {
        REQUIRE(::mkdir((*this / name).c_str(), 0700) == 0);
        REQUIRE(::chmod((*this / name).c_str(), mode) == 0);
        return *this / name;
    }
    std::string link(std::string_view name, const std::string& target) const {
        REQUIRE(::symlink(target.c_str(), (*this / name).c_str()) == 0);
        return *this / name;
    }
    std::string content(std::string_view name) const {
        std::ifstream in(*this / name, std::ios::binary);
        REQUIRE_MESSAGE(in.good(), name);
        std::ostringstream text;
        text << in.rdbuf();
        return text.str();
    }
    mode_t mode(std::string_view name) const {
        struct stat status {};
        REQUIRE(::stat((*this / name).c_str(), &status) == 0);
        return status.st_mode & 07777u;
    }
    // Everything that lies here, hidden files too, as "a b c".
    std::string names(std::string_view below = ".") const {
        std::vector<std::string> found;
        for (const auto& entry : std::filesystem::directory_iterator(*this / below)) {
            found.push_back(entry.path().filename().string());
        }
        std::sort(found.begin(), found.end());
        std::string text;
        for (const auto& name : found) text += (text.empty() ? "" : " ") + name;
        return text;
    }

  private:
    std::string path_;
};

inline bool mentions(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

// A file of test/data.
inline std::string data_file(std::string_view name) {
    std::ifstream in(TEST_DATA_DIR "/" + std::string(name), std::ios::binary);
    REQUIRE_MESSAGE(in.good(), name);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

inline int status_of(pid_t child) {
    int status = 0;
    while (::waitpid(child, &status, 0) != child) REQUIRE(errno == EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Starts `body` in a process of its own; what it returns is the exit status. No doctest macros in there.
template <typename Body>
pid_t start_process(const Body& body) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) [&]() noexcept { ::_exit(body()); }();
    return child;
}

template <typename Body>
int in_process(const Body& body) {
    return status_of(start_process(body));
}

// For root, to whom no mode applies: `body` as an ordinary user.
template <typename Body>
int as_ordinary_user(const Body& body) {
    constexpr uid_t nobody = 65534;
    return in_process([&] {
        if (::geteuid() == 0 && (::setgid(nobody) != 0 || ::setuid(nobody) != 0)) return 255;
        return static_cast<int>(body());
    });
}

// One process tells another, or several, that it may go on.
struct Pipe {
    Pipe() {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        out.reset(ends[0]);
        in.reset(ends[1]);
    }
    bool tell() const { return ::write(in.get(), "x", 1) == 1; }
    bool wait() const {
        char c = 0;
        return ::read(out.get(), &c, 1) == 1;
    }
    bool is_silent_for(int milliseconds) const {
        struct pollfd ready = {out.get(), POLLIN, 0};
        return ::poll(&ready, 1, milliseconds) == 0;
    }
    UniqueFd out, in;
};

}  // namespace ctrlexec::testing
