#include "core/log.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <vector>

#include "core/unique_fd.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_value = 2048;  // bytes of one value; syslog lines are bounded
constexpr int facility_daemon = 3;

struct LogState {
    std::mutex mutex;
    std::string tag = "ctrl-exec";
    std::string socket_path;  // "" when lines do not go to syslog
    UniqueFd socket;
    bool to_stderr = false;
};

LogState& state() {
    static LogState instance;
    return instance;
}

UniqueFd connect_syslog(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return UniqueFd();
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        fd.reset();
    return fd;
}

std::string quoted(std::string_view value) {
    const bool cut = value.size() > max_value;
    std::string text = printable(value.substr(0, max_value));
    if (cut) text += "…";
    if (text.find_first_of(" \t\"=\\") == std::string::npos) return text;
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

void write_stderr(const std::string& line) {
    const std::string text = line + "\n";
    std::size_t done = 0;
    while (done < text.size()) {
        const ssize_t n = ::write(STDERR_FILENO, text.data() + done, text.size() - done);
        if (n <= 0) return;  // nobody to tell
        done += static_cast<std::size_t>(n);
    }
}

std::string syslog_packet(const std::string& tag, LogLevel level, const std::string& line) {
    char date[32];
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    ::localtime_r(&now, &local);
    std::strftime(date, sizeof date, "%b %e %H:%M:%S", &local);
    return fmt::format("<{}>{} {}[{}]: {}", facility_daemon * 8 + static_cast<int>(level), date, tag,
                       ::getpid(), line);
}

bool send_syslog(LogState& log, LogLevel level, const std::string& line) {
    const std::string packet = syslog_packet(log.tag, level, line);
    // Twice: the socket of a syslog daemon that was restarted since the last line is a new one.
    for (int attempt = 0; attempt < 2; ++attempt) {
        if (!log.socket) log.socket = connect_syslog(log.socket_path);
        if (!log.socket) return false;
        if (::send(log.socket.get(), packet.data(), packet.size(), MSG_NOSIGNAL) >= 0) return true;
        if (errno == EAGAIN || errno == ENOBUFS) return true;  // full: dropped rather than waited for
        log.socket.reset();
    }
    return false;
}

}  // namespace

void open_log(std::string tag, LogFallback fallback) {
    auto& log = state();
    log.tag = std::move(tag);
    log.socket.reset();
    log.to_stderr = fallback == LogFallback::to_stderr;
    log.socket_path = "/dev/log";
    if (const char* wish = std::getenv("CTRL_EXEC_LOG"); wish != nullptr && *wish != '\0') {
        const bool is_path = *wish == '/';
        log.socket_path = is_path ? wish : "";
        if (!is_path) log.to_stderr = std::strcmp(wish, "stderr") == 0;
    }
}

std::string format_event(std::string_view action, std::initializer_list<LogField> fields) {
    std::vector<LogField> sorted(fields);
    std::sort(sorted.begin(), sorted.end());
    std::string line = fmt::format("ACTION={}", action);
    for (const auto& [key, value] : sorted) {
        if (!value.empty()) line += fmt::format(" {}={}", key, quoted(value));
    }
    return line;
}

void log_event(LogLevel level, std::string_view action, std::initializer_list<LogField> fields) {
    auto& log = state();
    const std::string line = format_event(action, fields);
    const std::lock_guard lock(log.mutex);  // workers log too
    if (!log.socket_path.empty() && send_syslog(log, level, line)) return;
    if (log.to_stderr) write_stderr(line);
}

}  // namespace ctrlexec
