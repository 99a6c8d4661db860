#include "core/process_identity.h"

#include <fmt/format.h>

#include <charconv>

#include "core/config_file.h"
#include "core/file.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_stat = 4096;
constexpr int start_field = 22;  // proc(5); counted from 1
constexpr int after_name = 3;    // the first field behind the name

Result<std::uint64_t> parse_start(std::string_view stat) {
    // The name is in parentheses, and may hold any character, these included.
    const auto name_end = stat.rfind(')');
    std::string_view rest = name_end == std::string_view::npos ? "" : stat.substr(name_end + 1);
    for (int field = after_name; field < start_field && !rest.empty(); ++field) {
        rest = trim(rest);
        rest.remove_prefix(std::min(rest.find(' '), rest.size()));
    }
    rest = trim(rest);
    std::uint64_t ticks = 0;
    const auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), ticks);
    if (problem != std::errc()) return fail(Errc::io, "cannot read /proc/PID/stat: unknown format");
    return ticks;
}

}  // namespace

std::string boot_id() {
    const auto text = read_file("/proc/sys/kernel/random/boot_id", 64);
    return text ? text->substr(0, text->find('\n')) : std::string();
}

Result<ProcessIdentity> ProcessIdentity::of(pid_t pid) {
    ProcessIdentity identity;
    identity.pid = pid;
    TRY(const std::string stat, read_file(fmt::format("/proc/{}/stat", pid), max_stat));
    TRY(identity.start_ticks, parse_start(stat));
    identity.boot = boot_id();
    return identity;
}

Result<ProcessIdentity> ProcessIdentity::from_json(const json::Value& value) {
    std::int64_t pid = 0;
    std::int64_t ticks = 0;
    // Process 1 and the groups of kill(2) that are none must never be reached through a file.
    if (!parse_integer(value.scalar("pid"), 2, INT32_MAX, pid) ||
        !parse_integer(value.scalar("start_ticks"), 0, INT64_MAX, ticks)) {
        return fail(Errc::bad_request, "not the identity of a process");
    }
    return ProcessIdentity{static_cast<pid_t>(pid), static_cast<std::uint64_t>(ticks), value.scalar("boot")};
}

json::Value ProcessIdentity::to_json() const {
    return json::Object{{"pid", std::int64_t{pid}}, {"start_ticks", start_ticks}, {"boot", boot}};
}

bool ProcessIdentity::exists() const {
    const auto now = of(pid);
    return now && now->start_ticks == start_ticks && now->boot == boot;
}

}  // namespace ctrlexec
