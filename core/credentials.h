// As whom a script runs: what user= and group= of scripts.conf come to on this host, now.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ctrlexec {

struct Credentials {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;  // all of them, gid included; sorted
    std::string user;           // its name in passwd(5), "" when it has none or only the group was given
    std::string home;           // its home directory
    // Ours are these already, and we may not change them: there is nothing to switch, and the supplementary
    // groups stay.
    bool own = false;

    bool operator==(const Credentials&) const = default;
};

// `user` and `group` are names or numbers, or ""; not both. A number need not be in `passwd` when a group is
// given. `own_uid` is for a group alone. Errc::config when there is no such user or group; the message may be
// shown to the peer.
Result<Credentials> find_credentials(std::string_view user, std::string_view group, std::string_view passwd,
                                     std::string_view groups, uid_t own_uid);

// The same in this host's files; also Errc::config when we may not switch to them.
Result<Credentials> load_credentials(std::string_view user, std::string_view group);

}  // namespace ctrlexec
