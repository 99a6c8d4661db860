#include "core/event_log.h"

#include <doctest/doctest.h>

#include <string>

using namespace ctrlexec;

namespace {

std::string all_after(const EventLog& log, std::string_view last_id) {
    auto position = log.position(last_id);
    std::string text;
    for (std::string more = log.read(position, 100); !more.empty(); more = log.read(position, 100))
        text += more;
    CHECK(log.at_end(position));
    return text;
}

json::Value number(int n) {
    return json::Object{{"n", n}};
}

constexpr const char* reset = "event: reset\ndata: {}\n\n";

}  // namespace

TEST_CASE("a listener gets every event once, and goes on after the last one that it has seen") {
    EventLog log("e1");
    CHECK(all_after(log, "") == "");
    log.add("output", number(0));
    log.add("result", number(1));
    const std::string first = "id: e1-0\nevent: output\ndata: {\"n\":0}\n\n";
    const std::string second = "id: e1-1\nevent: result\ndata: {\"n\":1}\n\n";
    CHECK(all_after(log, "") == first + second);
    CHECK(all_after(log, "e1-0") == second);
    CHECK(all_after(log, "e1-1") == "");
}

TEST_CASE(
    "an id that is not of this log, or of an event to come, is answered by a reset and all that is kept") {
    EventLog log("e1");
    log.add("output", number(0));
    const std::string all = "id: e1-0\nevent: output\ndata: {\"n\":0}\n\n";
    for (const auto* id :
         {"e2-0", "e1-1", "e1-", "e1", "-0", "e1-x", "e1--1", "e1-99999999999999999999", "x"})
        CHECK_MESSAGE(all_after(log, id) == reset + all, id);
}

TEST_CASE("the oldest events make room, and who has missed them is told so") {
    EventLog log("e");
    const int more = static_cast<int>(EventLog::max_events) + 10;
    auto position = log.position("");
    for (int i = 0; i < more; ++i) log.add("output", number(i));
    CHECK(log.read(position, 100).starts_with(std::string(reset) + "id: e-10\n"));
    CHECK(all_after(log, "e-3").starts_with(std::string(reset) + "id: e-10\n"));
    CHECK(all_after(log, "e-9").starts_with("id: e-10\n"));
    CHECK(all_after(log, "").starts_with("id: e-10\n"));
}

TEST_CASE("large events are bounded by their bytes, but the newest one is always there") {
    EventLog log("e");
    const std::string large(1u << 20, 'x');
    for (int i = 0; i < 10; ++i) log.add("output", json::Object{{"data", large}});
    CHECK(all_after(log, "").starts_with("id: e-7\n"));
    log.add("result", json::Object{{"data", std::string(5u << 20, 'y')}});
    CHECK(all_after(log, "").starts_with("id: e-10\nevent: result\n"));
}
