#include "core/credentials.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

constexpr const char* passwd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "backup:x:34:35::/var/backups:/bin/sh\n"
    "77:x:78:79::/digits:/bin/sh\n"
    "nohome:x:40:40:::/bin/sh\n";
constexpr const char* groups = "disk:x:6:backup\nbackup:x:35:\ntape:x:26:backup,other\n99:x:100:\n";

Credentials found(std::string_view user, std::string_view group) {
    const auto credentials = find_credentials(user, group, passwd, groups, 7);
    REQUIRE_MESSAGE(credentials, (credentials ? std::string() : credentials.error().text()));
    return *credentials;
}

Error refused(std::string_view user, std::string_view group) {
    const auto credentials = find_credentials(user, group, passwd, groups, 7);
    REQUIRE_FALSE(credentials);
    CHECK(credentials.error().code == Errc::config);
    return credentials.error();
}

}  // namespace

TEST_CASE("a user brings its primary group, the groups it is a member of, and its home") {
    const Credentials backup = found("backup", "");
    CHECK(backup.uid == 34);
    CHECK(backup.gid == 35);
    CHECK(backup.groups == std::vector<gid_t>{6, 26, 35});
    CHECK(backup.user == "backup");
    CHECK(backup.home == "/var/backups");
    CHECK(found("34", "") == backup);
}

TEST_CASE("a group given with a user takes the place of its primary group") {
    CHECK(found("backup", "tape").gid == 26);
    CHECK(found("backup", "tape").groups == std::vector<gid_t>{6, 26});
    CHECK(found("backup", "1000").groups == std::vector<gid_t>{6, 26, 1000});
}

TEST_CASE("a group alone keeps the user and is the only group") {
    const Credentials disk = found("", "disk");
    CHECK(disk.uid == 7);
    CHECK(disk.gid == 6);
    CHECK(disk.groups == std::vector<gid_t>{6});
    CHECK(disk.user == "");
    CHECK(disk.home == "");
}

TEST_CASE("a name of digits counts more than the number") {
    CHECK(found("77", "").uid == 78);
    CHECK(found("", "99").gid == 100);
}

TEST_CASE("a number that nobody has needs a group, and has no name") {
    const Credentials stranger = found("5000", "disk");
    CHECK(stranger.uid == 5000);
    CHECK(stranger.gid == 6);
    CHECK(stranger.groups == std::vector<gid_t>{6});
    CHECK(stranger.user == "");
    CHECK(stranger.home == "/");
    CHECK(mentions(refused("5000", "").text(), "the user 5000 of this script has no group"));
    CHECK(mentions(refused("5000", "").text(), "add group= in scripts.conf"));
    CHECK(found("nohome", "").home == "/");
}

TEST_CASE("a user or group that does not exist is named") {
    CHECK(mentions(refused("bakcup", "").message, "the user 'bakcup' of this script does not exist"));
    CHECK(mentions(refused("", "dsik").message, "the group 'dsik' of this script does not exist"));
    CHECK(mentions(refused("backup", "dsik").text(),
                   "not in /etc/group; create it, or correct group= in scripts.conf"));
    refused("4294967295", "disk");
    refused("-1", "");
}

TEST_CASE("who may not switch users may only stay what it is") {
    CHECK(as_ordinary_user([] {
              const auto other = load_credentials("0", "");
              const auto group = load_credentials("", "0");
              const auto own = load_credentials(std::to_string(::geteuid()), std::to_string(::getegid()));
              if (other || group || !own || !own->own) return 1;
              return mentions(other.error().text(), "may not switch to the user '0' of this script") &&
                             mentions(other.error().text(), "start it as root")
                         ? 0
                         : 2;
          }) == 0);
}
