#include "core/run_order.h"

#include <doctest/doctest.h>

using namespace ctrlexec;
using namespace std::chrono_literals;

TEST_CASE("an order is read as it was written") {
    RunOrder order;
    order.request.script = "check";
    order.request.arguments = {"a", "b c"};
    order.request.reqid = "00c9845e0001ab42";
    order.mode = RunOrder::Mode::detach;
    order.timeout = 1500ms;
    const auto read = RunOrder::parse(json::dump(order.to_json()));
    REQUIRE(read);
    CHECK(read->request.problem.empty());
    CHECK(read->request.arguments == order.request.arguments);
    CHECK(read->request.reqid == order.request.reqid);
    CHECK(read->mode == RunOrder::Mode::detach);
    CHECK(read->timeout == 1500ms);
}

TEST_CASE("an order that says nothing more is a run that is waited for") {
    const auto order = RunOrder::parse(R"({"script":"check"})");
    REQUIRE(order);
    CHECK(order->mode == RunOrder::Mode::wait);
    CHECK(order->timeout == 0ms);
    CHECK(json::dump(order->to_json()) == order->request.to_json());
}

TEST_CASE("what an order cannot mean is its problem") {
    for (const char* body :
         {R"({"script":"a","mode":"later"})", R"({"script":"a","timeout_ms":0})",
          R"({"script":"a","timeout_ms":-1})", R"({"script":"a","timeout_ms":"soon"})",
          R"({"script":"a","timeout_ms":1.5})", R"({"script":"a","timeout_ms":99999999999})"}) {
        CAPTURE(body);
        const auto order = RunOrder::parse(body);
        REQUIRE(order);
        CHECK_FALSE(order->request.problem.empty());
        CHECK(order->request.script == "a");
    }
    CHECK_FALSE(RunOrder::parse("[]"));
    CHECK_FALSE(RunOrder::parse(""));
}
