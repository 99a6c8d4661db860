// As whom a child runs. Only root can try that; everybody else checks that nothing starts.
#include <doctest/doctest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "core/spawn.h"
#include "test/core/spawn_fixture.h"

using namespace ctrlexec;
using namespace ctrlexec::spawn_test;

namespace {

constexpr uid_t somebody = 54321;  // need not exist
constexpr gid_t somewhere = 54322;

SpawnPlan plan_as_somebody(std::string path, std::vector<std::string> arguments = {}) {
    SpawnPlan plan = plan_for(std::move(path), std::move(arguments));
    Credentials credentials;
    credentials.uid = somebody;
    credentials.gid = somewhere;
    credentials.groups = {7, somewhere};
    plan.credentials = credentials;
    return plan;
}

std::string field(const std::string& status, const std::string& key) {
    const std::size_t start = status.find("\n" + key + ":");
    if (start == std::string::npos) return "";
    const std::size_t value = status.find_first_not_of(" \t", start + key.size() + 2);
    return status.substr(value, status.find('\n', value) - value);
}

}  // namespace

TEST_CASE("a child of another user has its ids, its groups, no capabilities and can gain none") {
    const SpawnPlan plan = plan_as_somebody("/bin/cat", {"/proc/self/status"});
    if (::geteuid() != 0) {
        CHECK(mentions(failure_of(plan).message,
                       "the groups of user 54321 with group 54322 cannot be taken on"));
        return;
    }
    const std::string status = run(plan).output;
    CHECK(field(status, "Uid") == "54321\t54321\t54321\t54321");
    CHECK(field(status, "Gid") == "54322\t54322\t54322\t54322");
    CHECK(field(status, "Groups") == "7 54322 ");
    CHECK(field(status, "CapInh") == "0000000000000000");
    CHECK(field(status, "CapPrm") == "0000000000000000");
    CHECK(field(status, "CapEff") == "0000000000000000");
    CHECK(field(status, "CapAmb") == "0000000000000000");
    CHECK(field(status, "NoNewPrivs") == "1");
}

TEST_CASE("switching the child's user changes nothing of ours") {
    if (::geteuid() != 0) return;
    const int dumpable = ::prctl(PR_GET_DUMPABLE);
    run(plan_as_somebody("/bin/true"));
    CHECK(::geteuid() == 0);
    CHECK(::getegid() == 0);
    CHECK(::prctl(PR_GET_DUMPABLE) == dumpable);
    CHECK(::prctl(PR_GET_NO_NEW_PRIVS, 0UL, 0UL, 0UL, 0UL) == 0);
}

TEST_CASE("a child without a user of its own may gain privileges as ever") {
    CHECK(field(run(plan_for("/bin/cat", {"/proc/self/status"})).output, "NoNewPrivs") == "0");
}

TEST_CASE("ids that are ours already are not touched, but no privileges can be gained") {
    SpawnPlan plan = plan_for("/bin/cat", {"/proc/self/status"});
    Credentials credentials;
    credentials.uid = somebody;  // not looked at
    credentials.own = true;
    plan.credentials = credentials;
    const std::string status = run(plan).output;
    CHECK(field(status, "Uid").starts_with(std::to_string(::getuid()) + "\t"));
    CHECK(field(status, "NoNewPrivs") == "1");
}

TEST_CASE("the directory is entered as the child's user") {
    if (::geteuid() != 0) return;
    const TempDir directory;  // 0700, root's
    SpawnPlan plan = plan_as_somebody("/bin/true");
    plan.directory = directory.path();
    const Error error = failure_of(plan);
    CHECK(error.code == Errc::denied);
    CHECK(mentions(error.message,
                   directory.path() + ": cannot be the working directory of /bin/true for user 54321"));
}

TEST_CASE("a program that the child's user may not execute is told with the user") {
    if (::geteuid() != 0) return;
    const TempDir directory;
    const std::string script = directory.file("script", "#!/bin/sh\n", 0700);
    REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
    SpawnPlan plan = plan_as_somebody(script);
    plan.credentials->user = "backup";
    const Error error = failure_of(plan);
    CHECK(error.code == Errc::denied);
    CHECK(mentions(error.message, script + ": not executable for user 'backup'"));
}

TEST_CASE("the umask and the priority are the given ones") {
    const TempDir directory;
    SpawnPlan plan = plan_for(directory.script("umask; nice"));
    const int ours = ::getpriority(PRIO_PROCESS, 0);
    plan.umask = 027;
    CHECK(run(plan).output == "0027\n" + std::to_string(ours) + "\n");
    plan.nice = 19;
    CHECK(run(plan).output == "0027\n19\n");
    CHECK(::getpriority(PRIO_PROCESS, 0) == ours);
}

TEST_CASE("a priority that may not be set is an error of its own") {
    if (::geteuid() == 0) return;
    SpawnPlan plan = plan_for("/bin/true");
    plan.nice = -20;
    const Error error = failure_of(plan);
    CHECK(error.code == Errc::denied);
    CHECK(mentions(error.message, "its priority cannot be set to -20"));
}
