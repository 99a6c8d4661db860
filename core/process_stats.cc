#include "core/process_stats.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/unique_fd.h"

namespace ctrlexec {
namespace {

// Files in /proc have no size, and need no more than one read.
std::string read_proc(const char* path) {
    const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
    char buffer[4096];
    const ssize_t n = fd ? ::read(fd.get(), buffer, sizeof buffer) : 0;
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : std::string();
}

std::uint64_t number(std::string_view text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::vector<std::string_view> words(std::string_view text) {
    std::vector<std::string_view> found;
    while (!text.empty()) {
        const auto end = std::min(text.find(' '), text.size());
        if (end > 0) found.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return found;
}

// From the difference of two clocks: /proc/stat has it too, but behind a line for each CPU.
double boot_time() {
    timespec real{}, since_boot{};
    ::clock_gettime(CLOCK_REALTIME, &real);
    ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
    return static_cast<double>(real.tv_sec - since_boot.tv_sec) +
           static_cast<double>(real.tv_nsec - since_boot.tv_nsec) / 1e9;
}

}  // namespace

ProcessStats process_stats() {
    ProcessStats stats;
    // Field 2 is the name in parentheses and may hold blanks; the numbers below count from field 3.
    const std::string line = read_proc("/proc/self/stat");
    const auto name_end = line.rfind(") ");
    const auto fields = words(name_end == std::string::npos ? std::string_view()
                                                            : std::string_view(line).substr(name_end + 2));
    if (fields.size() > 21) {
        const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
        stats.cpu_seconds = static_cast<double>(number(fields[11]) + number(fields[12])) / ticks;
        stats.threads = number(fields[17]);
        stats.start_time = boot_time() + static_cast<double>(number(fields[19])) / ticks;
        stats.virtual_bytes = number(fields[20]);
        stats.resident_bytes = number(fields[21]) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    }
    if (const auto files = list_directory("/proc/self/fd", 2'000'000))
        stats.open_files = files->size() - 1;  // without the one that lists them
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.max_open_files = limit.rlim_cur;
    return stats;
}

}  // namespace ctrlexec
