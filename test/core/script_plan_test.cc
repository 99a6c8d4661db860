#include "core/script_plan.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "test/approved_program_for_test.h"

using namespace ctrlexec;

namespace {

SpawnPlan planned(std::string_view settings) {
    const auto parsed = parse_settings(settings);
    REQUIRE(parsed);
    auto plan = plan_script(ApprovedProgramForTest::approve("/bin/true"), *parsed);
    REQUIRE_MESSAGE(plan, (plan ? std::string() : plan.error().text()));
    return std::move(*plan);
}

// Of a variable that must be there once.
std::string value_of(const SpawnPlan& plan, const std::string& key) {
    std::vector<std::string> found;
    for (const std::string& text : plan.environment) {
        if (text.starts_with(key + "=")) found.push_back(text.substr(key.size() + 1));
    }
    REQUIRE(found.size() == 1);
    return found[0];
}

bool sets(const SpawnPlan& plan, const std::string& key) {
    return std::any_of(plan.environment.begin(), plan.environment.end(),
                       [&](const std::string& text) { return text.starts_with(key + "="); });
}

}  // namespace

TEST_CASE("a script without settings runs as the agent does") {
    const SpawnPlan plan = planned("");
    CHECK(plan.program.path() == "/bin/true");
    CHECK(plan.directory == "/");
    CHECK(plan.umask == 022);
    CHECK(plan.nice == 0);
    CHECK_FALSE(plan.credentials);
    CHECK(value_of(plan, "PATH") == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    CHECK_FALSE(sets(plan, "USER"));
}

TEST_CASE("directory, umask, priority and variables of the settings are planned") {
    const SpawnPlan plan = planned("cwd=/var/tmp umask=077 nice=7 env=PATH:/opt/bin env=HOME:/h env=NEW:1");
    CHECK(plan.directory == "/var/tmp");
    CHECK(plan.umask == 077);
    CHECK(plan.nice == 7);
    CHECK(value_of(plan, "PATH") == "/opt/bin");
    CHECK(value_of(plan, "HOME") == "/h");
    CHECK(value_of(plan, "NEW") == "1");
}

TEST_CASE("a script with a user has that user's variables, which env= may override") {
    if (::geteuid() != 0) {
        CHECK_FALSE(
            plan_script(ApprovedProgramForTest::approve("/bin/true"), *parse_settings("user=daemon")));
        return;
    }
    const SpawnPlan plan = planned("user=daemon env=LOGNAME:other");
    REQUIRE(plan.credentials);
    CHECK(plan.credentials->user == "daemon");
    CHECK(plan.credentials->uid != 0);
    CHECK(value_of(plan, "USER") == "daemon");
    CHECK(value_of(plan, "LOGNAME") == "other");
    CHECK(value_of(plan, "HOME") == plan.credentials->home);
    const SpawnPlan group = planned("group=daemon");
    CHECK(group.credentials->uid == 0);
    CHECK(group.credentials->gid != 0);
    CHECK(value_of(group, "HOME") == "/root");
    CHECK_FALSE(sets(group, "USER"));
}

TEST_CASE("a script whose user does not exist is not started") {
    const auto plan =
        plan_script(ApprovedProgramForTest::approve("/bin/true"), *parse_settings("user=no-such-user"));
    REQUIRE_FALSE(plan);
    CHECK(plan.error().code == Errc::config);
}
