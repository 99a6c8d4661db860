#include "core/serial_status.h"

#include <doctest/doctest.h>

using namespace ctrlexec;

TEST_CASE("a status follows from the serials, whatever the record says") {
    constexpr std::int64_t now = 1000;
    RotationState idle;
    idle.current_serial = "22";
    idle.previous_serial = "11";
    RotationState overlap = idle;
    overlap.overlap_expires = now + 1;
    RotationState over = idle;
    over.overlap_expires = now;
    over.kept = {"0a"};
    RotationState announced = idle;
    announced.pending_serial = "33";
    RotationState killed = announced;  // after the switch, before rotation.json was written
    const struct {
        const char* trusted;
        const RotationState& state;
        const char* in_use;
        const char* status;
    } rows[] = {
        {"", idle, "22", "unknown"},        {"zz", idle, "22", "unknown"},
        {"22", idle, "22", "current"},      {"0022", idle, "22", "current"},
        {"11", overlap, "22", "pending"},   {"11", over, "22", "stale"},
        {"0A", over, "22", "stale"},        {"44", over, "22", "unknown"},
        {"22", announced, "22", "pending"}, {"33", announced, "22", "current"},
        {"33", killed, "33", "current"},    {"22", killed, "33", "stale"},
        {"33", idle, "22", "unknown"},
    };
    for (const auto& row : rows) {
        AgentRecord agent;
        agent.dispatcher_serial = row.trusted;
        agent.serial_status = "current";
        CHECK_MESSAGE(serial_status(agent, row.in_use, row.state, now) == row.status, row.trusted);
    }
}
