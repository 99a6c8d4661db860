#include "core/rotation_state.h"

#include <doctest/doctest.h>

#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

TEST_CASE("a rotation's state is read as it was written") {
    const TempDir dir;
    const std::string path = dir / "state/rotation.json";
    CHECK(RotationState::load(path)->current_serial.empty());
    RotationState state;
    state.current_serial = "22";
    state.previous_serial = "11";
    state.pending_serial = "33";
    state.rotated_at = 1772798400;
    state.overlap_expires = 1772798401;
    state.overlap_days = 30;
    state.phase = RotationState::Phase::announced;
    state.kept = {"11", "0a"};
    REQUIRE(state.save(path));
    const auto read = RotationState::load(path);
    REQUIRE(read);
    CHECK(read->current_serial == "22");
    CHECK(read->previous_serial == "11");
    CHECK(read->pending_serial == "33");
    CHECK(read->rotated_at == 1772798400);
    CHECK(read->in_overlap(1772798400));
    CHECK_FALSE(read->in_overlap(1772798401));
    CHECK(read->overlap_days == 30);
    CHECK(read->phase == RotationState::Phase::announced);
    CHECK(read->kept == state.kept);
}

TEST_CASE("what is no state is refused, and what cannot be is left out") {
    const TempDir dir;
    dir.put("rotation.json", "[]");
    CHECK(RotationState::load(dir / "rotation.json").error().code == Errc::config);
    dir.put("rotation.json", R"({"current_serial":"../x","kept":["../../etc/passwd","AA",7],"phase":"x",
        "overlap_expires":1772798400,"rotated_at":"soon","overlap_days":-1})");
    const auto state = RotationState::load(dir / "rotation.json");
    REQUIRE(state);
    CHECK(state->current_serial.empty());
    CHECK(state->kept == std::vector<std::string>{"aa", "07"});
    CHECK(state->phase == RotationState::Phase::none);
    CHECK(state->overlap_expires == 1772798400);  // a number, too
    CHECK(state->rotated_at == 0);
    CHECK(state->overlap_days == 0);
}
