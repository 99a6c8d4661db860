#include "core/process_identity.h"

#include <unistd.h>

#include "test/temp_dir.h"

using namespace ctrlexec;

TEST_CASE("a process is known again by number, start and the machine's start") {
    const auto self = ProcessIdentity::of(::getpid());
    REQUIRE(self);
    CHECK(self->exists());
    CHECK(boot_id().size() == 36);
    const auto again = ProcessIdentity::from_json(self->to_json());
    REQUIRE(again);
    CHECK(again->exists());
    ProcessIdentity other = *self;
    ++other.start_ticks;
    CHECK_FALSE(other.exists());
    other = *self;
    other.boot = "another";
    CHECK_FALSE(other.exists());
}

TEST_CASE("a process that has ended is there until it is reaped, and then it is not") {
    const pid_t child = ctrlexec::testing::start_process([] { return 0; });
    const auto zombie = ProcessIdentity::of(child);
    REQUIRE(zombie);
    CHECK(ctrlexec::testing::status_of(child) == 0);
    CHECK_FALSE(zombie->exists());
}

TEST_CASE("a file names no group that kill(2) takes for more than one") {
    for (const int pid : {1, 0, -1, -1000}) {
        json::Value value(json::Object{{"pid", pid}, {"start_ticks", 5}, {"boot", "x"}});
        CHECK_FALSE(ProcessIdentity::from_json(value));
    }
    CHECK_FALSE(ProcessIdentity::from_json(json::Value("text")));
    CHECK_FALSE(ProcessIdentity::from_json(json::Value(json::Object{{"pid", std::int64_t{1} << 40}})));
}
