// Users and groups out of passwd(5) and group(5) files. Read by ourselves: getpwnam in a static glibc binary
// loads the NSS libraries of whatever system it runs on.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ctrlexec {

struct UserRecord {
    std::string name;
    uid_t uid = 0;
    gid_t gid = 0;     // of the primary group
    std::string home;  // absolute; "" when the file has no sane one
};

// In the text of a passwd(5) file; the first that fits.
std::optional<UserRecord> find_user(std::string_view passwd, std::string_view name);
std::optional<UserRecord> find_user(std::string_view passwd, uid_t uid);

// In the text of a group(5) file.
std::optional<gid_t> find_group(std::string_view groups, std::string_view name);
std::vector<gid_t> groups_with_member(std::string_view groups, std::string_view user);

// A user's or a group's number. Not the last one: it is -1, which the system takes for "leave it as it is".
std::optional<uid_t> parse_id(std::string_view text);

// /etc/passwd and /etc/group. Errc::io, also above 4 MiB.
Result<std::string> read_passwd();
Result<std::string> read_groups();

}  // namespace ctrlexec
