#include "core/credentials.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "core/user_database.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

Error unknown(std::string_view kind, std::string_view name, std::string_view file) {
    return fail(
        Errc::config,
        fmt::format("the {} '{}' of this script does not exist on the agent's host", kind, printable(name)),
        fmt::format("not in {}; create it, or correct {}= in scripts.conf", file, kind));
}

// A name that consists of digits counts more than the number.
Result<UserRecord> user_of(std::string_view user, bool group_given, std::string_view passwd) {
    auto record = find_user(passwd, user);
    const auto number = parse_id(user);
    if (!record && number) record = find_user(passwd, *number);
    if (record) return std::move(*record);
    if (!number) return unknown("user", user, "/etc/passwd");
    if (!group_given)
        return fail(Errc::config,
                    fmt::format("the user {} of this script has no group on the agent's host", *number),
                    "not in /etc/passwd; add group= in scripts.conf");
    UserRecord stranger;
    stranger.uid = *number;
    return stranger;
}

Result<gid_t> group_of(std::string_view group, std::string_view groups) {
    if (const auto gid = find_group(groups, group)) return *gid;
    if (const auto number = parse_id(group)) return *number;
    return unknown("group", group, "/etc/group");
}

// capget(2), since a container's root may lack these two, and another user may have them.
bool may_switch() {
    struct {
        std::uint32_t version = 0x20080522;  // _LINUX_CAPABILITY_VERSION_3
        int pid = 0;
    } header;
    struct Sets {
        std::uint32_t effective, permitted, inheritable;
    };
    std::array<Sets, 2> sets{};
    constexpr std::uint32_t needed = (1u << 6) | (1u << 7);  // CAP_SETGID, CAP_SETUID
    return ::syscall(SYS_capget, &header, sets.data()) == 0 && (sets[0].effective & needed) == needed;
}

bool are_own(const Credentials& wanted) {
    return wanted.uid == ::geteuid() && wanted.uid == ::getuid() && wanted.gid == ::getegid() &&
           wanted.gid == ::getgid();
}

}  // namespace

Result<Credentials> find_credentials(std::string_view user, std::string_view group, std::string_view passwd,
                                     std::string_view groups, uid_t own_uid) {
    Credentials found;
    found.uid = own_uid;
    if (!user.empty()) {
        TRY(const UserRecord record, user_of(user, !group.empty(), passwd));
        found.uid = record.uid;
        found.gid = record.gid;
        found.user = record.name;
        found.home = !record.home.empty() ? record.home : record.uid == 0 ? "/root" : "/";
        found.groups = groups_with_member(groups, record.name);
    }
    if (!group.empty()) {
        TRY(found.gid, group_of(group, groups));
    }
    found.groups.push_back(found.gid);
    std::sort(found.groups.begin(), found.groups.end());
    found.groups.erase(std::unique(found.groups.begin(), found.groups.end()), found.groups.end());
    return found;
}

Result<Credentials> load_credentials(std::string_view user, std::string_view group) {
    TRY(const std::string passwd, read_passwd());
    TRY(const std::string groups, read_groups());
    TRY(Credentials found, find_credentials(user, group, passwd, groups, ::geteuid()));
    if (may_switch()) return found;
    found.own = are_own(found);
    if (found.own) return found;
    return fail(
        Errc::config,
        fmt::format("the agent may not switch to the {} '{}' of this script", user.empty() ? "group" : "user",
                    printable(user.empty() ? group : user)),
        fmt::format("it runs as uid {} without CAP_SETUID and CAP_SETGID; start it as root, or as that "
                    "user, or take user= and group= off in scripts.conf",
                    ::geteuid()));
}

}  // namespace ctrlexec
