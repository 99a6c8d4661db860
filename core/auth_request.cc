#include "core/auth_request.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "core/timestamp.h"

namespace ctrlexec {
std::vector<std::string> AuthRequest::environment() const {
    std::vector<std::string> variables{
        "ENVEXEC_ACTION=" + action,
        "ENVEXEC_SCRIPT=" + script,
        fmt::format("ENVEXEC_HOSTS={}", fmt::join(hosts, ",")),
        fmt::format("ENVEXEC_ARGS={}", fmt::join(arguments, " ")),
        "ENVEXEC_ARGS_JSON=" + json::dump(json::strings(arguments)),
        "ENVEXEC_USERNAME=" + username,
        "ENVEXEC_TOKEN=" + token,
        "ENVEXEC_SOURCE_IP=" + source_ip,
        "ENVEXEC_TIMESTAMP=" + iso8601(time),
    };
    if (!dispatcher.empty()) variables.push_back("ENVEXEC_DISPATCHER=" + dispatcher);
    return variables;
}

std::string AuthRequest::input() const {
    return json::dump(json::Object{{"action", action},
                                   {"script", script},
                                   {"hosts", json::strings(hosts)},
                                   {"args", json::strings(arguments)},
                                   {"username", username},
                                   {"token", token},
                                   {"source_ip", source_ip},
                                   {"timestamp", iso8601(time)}});
}

std::vector<AuthRequest> AuthRequest::parts() const {
    constexpr std::size_t max_bytes = 100'000;
    AuthRequest about_none = *this;
    about_none.hosts.clear();
    std::vector<AuthRequest> parts(1, about_none);
    std::size_t bytes = 0;
    for (const auto& host : hosts) {
        if (bytes > 0 && bytes + host.size() > max_bytes) {
            parts.push_back(about_none);
            bytes = 0;
        }
        bytes += host.size() + 1;
        parts.back().hosts.push_back(host);
    }
    return parts;
}

Result<ApprovedProgram> AuthHook::approve(const std::string& path) {
    struct stat status {};
    if (path.empty() || path.front() != '/')
        return fail(Errc::denied, "the auth hook's path must be absolute", path);
    if (::stat(path.c_str(), &status) != 0) return fail(Errc::denied, "the auth hook is missing", path);
    if (!S_ISREG(status.st_mode) || ::access(path.c_str(), X_OK) != 0) {
        return fail(Errc::denied, "the auth hook is not executable", path);
    }
    return ApprovedProgram(path);
}

Result<void> judge_hook(int exit_status) {
    switch (exit_status) {
        case 0:
            return success();
        case 1:
            return fail(Errc::denied, "denied");
        case 2:
            return fail(Errc::denied, "bad credentials");
        case 3:
            return fail(Errc::denied, "insufficient privilege");
        default:
            return fail(Errc::denied, fmt::format("hook exited {}", exit_status));
    }
}

}  // namespace ctrlexec
