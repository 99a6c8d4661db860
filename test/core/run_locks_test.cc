#include "core/run_locks.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <optional>

#include "test/temp_dir.h"

using namespace ctrlexec;

TEST_CASE("a second run of a script on a host is refused at once, another script or host is not") {
    const testing::TempDir directory;
    const RunLocks locks(directory.path() + "/locks");
    const auto first = locks.acquire("web-01", "deploy", "r1");
    REQUIRE(first);
    const auto second = locks.acquire("web-01", "deploy", "r2");
    REQUIRE_FALSE(second);
    CHECK(second.error().code == Errc::locked);
    CHECK(locks.acquire("web-01", "check", "r3"));
    CHECK(locks.acquire("web-02", "deploy", "r4"));
}

TEST_CASE("a lock goes with its holder, and its file stays") {
    const testing::TempDir directory;
    const RunLocks locks(directory.path());
    { REQUIRE(locks.acquire("web-01", "deploy", "r1")); }
    CHECK(std::filesystem::exists(directory.path() + "/web-01--deploy.lock"));
    CHECK(locks.acquire("web-01", "deploy", "r2"));
}

TEST_CASE("held locks are listed with who holds them, free ones are not") {
    const testing::TempDir directory;
    const RunLocks locks(directory.path());
    { REQUIRE(locks.acquire("web-02", "deploy", "r0")); }
    const auto held = locks.acquire("fd00::1", "deploy", "r1");
    REQUIRE(held);
    CHECK(std::filesystem::exists(directory.path() + "/fd00__1--deploy.lock"));
    const auto listed = locks.held();
    REQUIRE(listed);
    REQUIRE(listed->size() == 1);
    CHECK((*listed)[0].name == "fd00__1--deploy");
    CHECK((*listed)[0].host == "fd00::1");
    CHECK((*listed)[0].script == "deploy");
    CHECK((*listed)[0].reqid == "r1");
}

TEST_CASE("a locks directory that does not exist holds nothing") {
    const auto listed = RunLocks("/nonexistent/locks").held();
    REQUIRE(listed);
    CHECK(listed->empty());
}
