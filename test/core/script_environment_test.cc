#include "core/script_environment.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "test/scoped_variable.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

std::vector<std::string> names(const std::vector<std::string>& environment) {
    std::vector<std::string> list;
    for (const std::string& entry : environment) list.push_back(entry.substr(0, entry.find('=')));
    return list;
}

bool contains(const std::vector<std::string>& list, const std::string& text) {
    return std::find(list.begin(), list.end(), text) != list.end();
}

constexpr const char* passwd =
    "# comment\n"
    "broken\n"
    "+::::::\n"
    "root:x:0:0:root:/root:/bin/sh\n"
    "agent:x:10:10:Agent, the:/var/lib/agent:/sbin/nologin\n"
    "again:x:10:10::/elsewhere:/bin/sh\n"
    "relative:x:11:11::home:/bin/sh\n"
    "escape:x:12:12::/home/\x1b[2J:/bin/sh\n"
    "empty:x:13:13:::/bin/sh\n"
    "sign:x:+14:14::/home/sign:/bin/sh\n"
    "padded:x: 15:15::/home/padded:/bin/sh\n"
    "huge:x:4294967296:0::/home/huge:/bin/sh\n"
    "last:x:16:16::/home/last:/bin/sh";

}  // namespace

TEST_CASE("nothing of the agent's own environment but LANG and TZ reaches a script") {
    const ScopedVariable secret("ENVEXEC_TOKEN", "secret");
    const ScopedVariable preload("LD_LIBRARY_PATH", "/tmp");
    const ScopedVariable path("PATH", "/tmp/evil:/usr/bin:/bin");
    const ScopedVariable home("HOME", "/tmp/evil");
    const ScopedVariable language("LANG", "de_DE.UTF-8");
    const ScopedVariable timezone("TZ", "Europe/Berlin");
    const auto environment = script_environment();
    CHECK(names(environment) == std::vector<std::string>{"PATH", "HOME", "LANG", "TZ"});
    CHECK(contains(environment, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    CHECK(contains(environment, "LANG=de_DE.UTF-8"));
    CHECK(contains(environment, "TZ=Europe/Berlin"));
    CHECK_FALSE(contains(environment, "HOME=/tmp/evil"));
}

TEST_CASE("an agent without LANG and TZ gives a script C.UTF-8 and no TZ") {
    const ScopedVariable language("LANG", nullptr);
    const ScopedVariable timezone("TZ", nullptr);
    const auto environment = script_environment();
    CHECK(names(environment) == std::vector<std::string>{"PATH", "HOME", "LANG"});
    CHECK(contains(environment, "LANG=C.UTF-8"));
}

TEST_CASE("a LANG or TZ that is not sane is replaced or left out") {
    const ScopedVariable language("LANG", "../../tmp/evil");
    const ScopedVariable timezone("TZ", ":/tmp/evil");
    const auto environment = script_environment();
    CHECK(names(environment) == std::vector<std::string>{"PATH", "HOME", "LANG"});
    CHECK(contains(environment, "LANG=C.UTF-8"));
}

TEST_CASE("the home directory is that of the first passwd line with the uid") {
    CHECK(home_directory(passwd, 0) == "/root");
    CHECK(home_directory(passwd, 10) == "/var/lib/agent");
    CHECK(home_directory(passwd, 16) == "/home/last");
}

TEST_CASE("without a usable passwd line the home directory is /root for root and / for others") {
    CHECK(home_directory("", 0) == "/root");
    CHECK(home_directory("", 10) == "/");
    CHECK(home_directory("root:x:0:0", 0) == "/root");
    CHECK(home_directory("toor:x:0:0::/other:/bin/sh\n", 0) == "/other");
    for (const uid_t uid : {11u, 12u, 13u, 14u, 15u, 99u}) {
        CAPTURE(uid);
        CHECK(home_directory(passwd, uid) == "/");
    }
    CHECK(home_directory("x:x:1:1::/" + std::string(4096, 'a') + ":/bin/sh\n", 1) == "/");
}

TEST_CASE("a locale name is letters, digits and . _ @ - only, and short") {
    for (const char* sane : {"C", "C.UTF-8", "POSIX", "de_DE.UTF-8", "ca_ES@valencia", "en_US.iso885915"}) {
        CAPTURE(sane);
        CHECK(is_sane_locale(sane));
    }
    for (const char* bad : {"", "/tmp/locale", "..", "a/b", "en US", "en\nX=1", "$(id)", "\xc3\xa4"}) {
        CAPTURE(bad);
        CHECK_FALSE(is_sane_locale(bad));
    }
    CHECK_FALSE(is_sane_locale(std::string(65, 'a')));
}

TEST_CASE("a time zone is a POSIX string or a zoneinfo name, and no other path") {
    for (const char* sane :
         {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3", ":UTC",
          "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3", "/usr/share/zoneinfo/UTC", ":/etc/localtime"}) {
        CAPTURE(sane);
        CHECK(is_sane_timezone(sane));
    }
    for (const char* bad : {"", ":", "/etc/shadow", ":/etc/shadow", "../../etc/shadow", "A\nB", "a b",
                            "$(id)", "/usr/share/zoneinfo/../../../etc/shadow", "/usr/share/zoneinfoX"}) {
        CAPTURE(bad);
        CHECK_FALSE(is_sane_timezone(bad));
    }
    CHECK_FALSE(is_sane_timezone(std::string(65, 'A')));
}
