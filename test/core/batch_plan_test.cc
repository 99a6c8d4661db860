#include "core/batch_plan.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace ctrlexec;

namespace {

Result<BatchPlan> plan_of(std::string size, std::string max_failures = {}, std::string canary = {},
                          std::size_t hosts = 100) {
    BatchWords words;
    words.size = std::move(size);
    words.max_failures = std::move(max_failures);
    words.canary = std::move(canary);
    return BatchPlan::parse(words, hosts);
}

// The sizes of the batches of so many hosts.
std::string batches(const Result<BatchPlan>& plan, std::size_t hosts = 100) {
    REQUIRE(plan);
    std::string text;
    for (std::size_t begun = 0; begun < hosts;) {
        const std::size_t next = plan->next(begun, hosts - begun);
        REQUIRE(next > 0);
        REQUIRE(next <= hosts - begun);
        begun += next;
        text += (text.empty() ? "" : " ") + std::to_string(next);
    }
    return text;
}

}  // namespace

TEST_CASE("without a plan all hosts begin at once, whatever becomes of them") {
    CHECK(batches(BatchPlan()) == "100");
    CHECK(BatchPlan().objection(50, 50).empty());
}

TEST_CASE("a batch is a number or a percentage of hosts, after one canary") {
    CHECK(batches(plan_of("40")) == "1 40 40 19");
    CHECK(batches(plan_of("50%")) == "1 50 49");
    CHECK(batches(plan_of("1000")) == "1 99");
    CHECK(batches(plan_of("100%")) == "1 99");
    CHECK(batches(plan_of("1%", "", "", 3), 3) == "1 1 1");
    CHECK(batches(plan_of("34%", "", "0", 3), 3) == "2 1");
    CHECK(batches(plan_of("40", "", "0")) == "40 40 20");
    CHECK(batches(plan_of("40", "", "90")) == "90 10");
    CHECK(batches(plan_of("40", "", "500")) == "100");
}

TEST_CASE("the canary must go well, whatever else may fail") {
    const auto plan = plan_of("10", "50", "2");
    REQUIRE(plan);
    CHECK(plan->objection(2, 0).empty());
    CHECK(plan->objection(2, 1) == "the canary did not go well");
    CHECK(plan->objection(12, 1).empty());
}

TEST_CASE("more failures than are allowed end it") {
    CHECK(plan_of("10")->objection(21, 0).empty());
    CHECK(plan_of("10")->objection(21, 1) == "1 of the hosts before did not go well, --max-failures is 0");
    CHECK(plan_of("10", "3")->objection(21, 3).empty());
    CHECK(!plan_of("10", "3")->objection(21, 4).empty());
    CHECK(plan_of("10", "5%", "", 50)->objection(21, 2).empty());  // rounded down
    CHECK(!plan_of("10", "5%", "", 50)->objection(21, 3).empty());
    CHECK(plan_of("10", "100%")->objection(100, 100).empty());
    CHECK(!plan_of("10", "0%", "0")->objection(1, 1).empty());
}

TEST_CASE("anything else is a usage error that names its option") {
    for (const std::string text : {"", "0", "-1", "x", "1.5", "0%", "101%", "%", "10 %", "1000001"}) {
        const auto plan = plan_of(text);
        REQUIRE_MESSAGE(!plan, text);
        CHECK(plan.error().code == Errc::usage);
        CHECK(plan.error().message.starts_with("--batch must be "));
    }
    CHECK(plan_of("1", "-1").error().message.starts_with("--max-failures must be "));
    CHECK(plan_of("1", "101%").error().message.starts_with("--max-failures must be "));
    CHECK(plan_of("1", "1", "-1").error().message.starts_with("--canary must be "));
    CHECK(plan_of("1", "1", "1%").error().message.starts_with("--canary must be "));
}

TEST_CASE("a host that is left alone has a result that says so") {
    RunRequest request;
    request.script = "deploy";
    request.reqid = "b50b5826213a74c8";
    const RunResult result = not_started("web-01", request, "the canary did not go well");
    CHECK(result.outcome() == Outcome::skipped);
    CHECK(!result.ok());
    const json::Value record = result.to_json();
    CHECK(record.text("outcome") == "skipped");
    CHECK(record.scalar("exit") == "-1");
    CHECK(record.text("error") == "not started: the canary did not go well");
    CHECK(RunResult::from_record(record).outcome() == Outcome::skipped);
}
