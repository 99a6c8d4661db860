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
#include <iterator>
#include <mutex>
#include <vector>

#include "core/json.h"
#include "core/timestamp.h"
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
    bool in_container = false;
    LogFormat format = LogFormat::kv;
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

std::string shown(std::string_view value) {
    std::string text = printable(value.substr(0, max_value));
    if (value.size() > max_value) text += "…";
    return text;
}

std::string quoted(std::string_view value) {
    const std::string text = shown(value);
    if (text.find_first_of(" \t\"=\\") == std::string::npos) return text;
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

std::string_view level_name(LogLevel level) {
    switch (level) {
        case LogLevel::error:
            return "error";
        case LogLevel::warning:
            return "warning";
        case LogLevel::notice:
            return "notice";
        case LogLevel::info:
            return "info";
        case LogLevel::debug:
            break;
    }
    return "debug";
}

// Without those that have no value, sorted by key.
std::vector<LogField> present(std::initializer_list<LogField> fields) {
    std::vector<LogField> sorted;
    std::copy_if(fields.begin(), fields.end(), std::back_inserter(sorted),
                 [](const LogField& field) { return !field.second.empty(); });
    std::sort(sorted.begin(), sorted.end());
    return sorted;
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
    log.socket_path = log.in_container && log.to_stderr ? "" : "/dev/log";
    if (const char* wish = std::getenv("CTRL_EXEC_LOG"); wish != nullptr && *wish != '\0') {
        const bool is_path = *wish == '/';
        log.socket_path = is_path ? wish : "";
        if (!is_path) log.to_stderr = std::strcmp(wish, "stderr") == 0;
    }
}

Result<LogFormat> read_log_format(const ConfigFile& file) {
    TRY(const std::size_t choice, file.choice("log_format", 0, {"kv", "json"}));
    return choice == 0 ? LogFormat::kv : LogFormat::json;
}

void log_as_container() {
    state().in_container = true;
}

void set_log_format(LogFormat format) {
    auto& log = state();
    const std::lock_guard lock(log.mutex);
    log.format = format;
}

std::string format_event(std::string_view action, std::initializer_list<LogField> fields) {
    std::string line = fmt::format("ACTION={}", action);
    for (const auto& [key, value] : present(fields)) line += fmt::format(" {}={}", key, quoted(value));
    return line;
}

std::string format_event_json(LogLevel level, std::string_view tag, std::string_view action,
                              std::initializer_list<LogField> fields) {
    json::Object line{
        {"time", iso8601(now_seconds())}, {"level", level_name(level)}, {"tag", tag}, {"ACTION", action}};
    for (const auto& [key, value] : present(fields)) line.push_back({std::string(key), shown(value)});
    return json::dump(json::Value(std::move(line)));
}

void log_event(LogLevel level, std::string_view action, std::initializer_list<LogField> fields) {
    auto& log = state();
    const std::lock_guard lock(log.mutex);  // workers log too
    const std::string line = log.format == LogFormat::json ? format_event_json(level, log.tag, action, fields)
                                                           : format_event(action, fields);
    if (!log.socket_path.empty() && send_syslog(log, level, line)) return;
    if (log.to_stderr) write_stderr(line);
}

}  // namespace ctrlexec
