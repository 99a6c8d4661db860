#include "core/user_database.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace ctrlexec;

namespace {

constexpr const char* passwd =
    "# comment\n"
    "broken\n"
    "+::::::\n"
    "root:x:0:0:root:/root:/bin/sh\n"
    "backup:x:34:35:Backup, the:/var/backups:/sbin/nologin\n"
    "backup:x:36:37::/second:/bin/sh\n"
    "twin:x:34:38::/twin:/bin/sh\n"
    "nohome:x:40:40:::/bin/sh\n"
    "relative:x:41:41::home:/bin/sh\n"
    "sign:x:+42:42::/sign:/bin/sh\n"
    "minus:x:4294967295:43::/minus:/bin/sh\n"
    "nogid:x:44:::/nogid:/bin/sh\n"
    "short:x:45:45:/short\n"
    "last:x:16:17::/home/last:/bin/sh";

constexpr const char* groups =
    "root:x:0:\n"
    "broken\n"
    "disk:x:6:backup,other\n"
    "tape:x:26:other,backup\n"
    "prefix:x:27:backups,abackup\n"
    "bad:x:x:backup\n"
    "alone:x:28:backup";

}  // namespace

TEST_CASE("a user is found by name or number, the first that fits") {
    const auto backup = find_user(passwd, "backup");
    REQUIRE(backup);
    CHECK(backup->uid == 34);
    CHECK(backup->gid == 35);
    CHECK(backup->home == "/var/backups");
    CHECK(find_user(passwd, 34)->name == "backup");
    CHECK(find_user(passwd, 16)->name == "last");
    CHECK(find_user(passwd, "root")->uid == 0);
}

TEST_CASE("lines of passwd that are broken name nobody") {
    for (const char* name : {"", "#", "broken", "+", "sign", "minus", "nogid", "short", "Backup", "34"})
        CHECK_MESSAGE(!find_user(passwd, name), name);
    CHECK_FALSE(find_user(passwd, 42));
    CHECK_FALSE(find_user("", 0));
}

TEST_CASE("a home directory that is empty or relative is none") {
    CHECK(find_user(passwd, "nohome")->home == "");
    CHECK(find_user(passwd, "relative")->home == "");
}

TEST_CASE("a group is found by name, and those of a member by the whole name") {
    CHECK(find_group(groups, "disk") == gid_t{6});
    CHECK(find_group(groups, "alone") == gid_t{28});
    for (const char* name : {"", "broken", "bad", "Disk"}) CHECK_FALSE(find_group(groups, name));
    CHECK(groups_with_member(groups, "backup") == std::vector<gid_t>{6, 26, 28});
    CHECK(groups_with_member(groups, "other") == std::vector<gid_t>{6, 26});
    CHECK(groups_with_member(groups, "").empty());
    CHECK(groups_with_member(groups, "nobody").empty());
}

TEST_CASE("an id is a decimal number; the one that means 'unchanged' is none") {
    CHECK(parse_id("0") == uid_t{0});
    CHECK(parse_id("4294967294") == uid_t{4294967294});
    for (const char* text : {"", "-1", "+1", " 1", "1 ", "0x1", "4294967295", "4294967296", "a"})
        CHECK_MESSAGE(!parse_id(text), text);
}
