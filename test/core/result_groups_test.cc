#include "core/result_groups.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace ctrlexec;

namespace {

RunResult result_of(std::string host, std::string output, int exit = 0) {
    RunResult result;
    result.host = std::move(host);
    result.exit = exit;
    result.output = std::move(output);
    return result;
}

RunResult unreachable(std::string host, std::string error) {
    RunResult result = result_of(std::move(host), "", -1);
    result.failure = Errc::unreachable;
    result.error = std::move(error);
    return result;
}

}  // namespace

TEST_CASE("results that say the same are one group, the biggest comes first") {
    ResultGroups groups;
    CHECK(!groups.add(result_of("web-03", "a")));
    CHECK(!groups.add(result_of("web-02", "b")));
    CHECK(!groups.add(result_of("web-04", "b")));
    CHECK(!groups.add(result_of("web-01", "b")));
    const auto all = groups.take();
    REQUIRE(all.size() == 2);
    CHECK(all[0].count == 3);
    CHECK(all[0].result.output == "b");
    CHECK(all[0].hosts == std::vector<std::string>{"web-01", "web-02", "web-04"});
    CHECK(all[1].count == 1);
    CHECK(all[1].result.output == "a");
    CHECK(groups.take().empty());
}

TEST_CASE("whatever a result says tells it apart") {
    ResultGroups groups;
    std::vector<RunResult> results(9, result_of("h", "text", 1));
    results[1].output = "text\n";
    results[2].errors = "text";
    results[3].exit = 2;
    results[4].timed_out = true;
    results[5].error = "why";
    results[6].signal = 9;
    results[7].output_truncated = true;
    std::swap(results[8].output, results[8].errors);
    for (const auto& result : results) CHECK(!groups.add(result));
    CHECK(groups.take().size() == results.size());
}

TEST_CASE("a boundary between the streams cannot be moved") {
    ResultGroups groups;
    RunResult one = result_of("h", "ab");
    RunResult other = result_of("h", "a");
    other.errors = "b";
    CHECK(!groups.add(one));
    CHECK(!groups.add(other));
    CHECK(groups.take().size() == 2);
}

TEST_CASE("the time, the run's id and the host's name do not tell results apart") {
    ResultGroups groups;
    RunResult other = result_of("web-02", "same");
    other.rtt = "99ms";
    other.reqid = "other";
    CHECK(!groups.add(result_of("web-01", "same")));
    CHECK(!groups.add(other));
    CHECK(groups.take().size() == 1);
}

TEST_CASE("of many hosts the first by name are kept, whatever their order") {
    ResultGroups groups;
    for (int i = 99; i >= 0; --i)
        CHECK(!groups.add(result_of("h" + std::to_string(100 + i * 7 % 100), "same")));
    const auto all = groups.take();
    REQUIRE(all.size() == 1);
    CHECK(all[0].count == 100);
    REQUIRE(all[0].hosts.size() == ResultGroup::max_hosts);
    CHECK(all[0].hosts.front() == "h100");
    CHECK(all[0].hosts.back() == "h119");
}

TEST_CASE("what there is no room for is given back, and members of groups need none") {
    ResultGroups groups(10'000);
    CHECK(!groups.add(result_of("a", std::string(5000, 'x'))));
    const auto back = groups.add(result_of("b", std::string(5000, 'y')));
    REQUIRE(back);
    CHECK(back->host == "b");
    CHECK(back->output.size() == 5000);
    CHECK(!groups.add(result_of("c", std::string(5000, 'x'))));
    CHECK(!groups.add(result_of("d", "small")));
    CHECK(groups.take().size() == 2);
}

TEST_CASE("who cannot be reached is told without its name when there are several") {
    ResultGroups groups;
    CHECK(!groups.add(unreachable("web-01", "connection refused by 192.0.2.1:7443: nothing listens there")));
    const std::string own = groups.take()[0].result.error;
    CHECK(own == "connection refused by 192.0.2.1:7443: nothing listens there");
    CHECK(!groups.add(unreachable("web-01", "connection refused by 192.0.2.1:7443: nothing listens there")));
    CHECK(!groups.add(
        unreachable("web-02", "connection refused by [2001:db8::2]:7444: nothing listens there")));
    const auto all = groups.take();
    REQUIRE(all.size() == 1);
    CHECK(all[0].result.error == "connection refused by HOST: nothing listens there");
}

TEST_CASE("names and addresses are found as words, and nothing else changes") {
    CHECK(without_hosts("the name 'web-01' does not resolve: x", "web-01") ==
          "the name 'HOST' does not resolve: x");
    CHECK(without_hosts("timed out: no answer from web-01:7443 within 60 s", "web-01") ==
          "timed out: no answer from HOST within 60 s");
    CHECK(without_hosts("no answer from 10.0.0.1.", "x") == "no answer from HOST.");
    CHECK(without_hosts("no answer from ::1", "x") == "no answer from HOST");
    CHECK(without_hosts("web-011 and my-web-01 at 12:30, version 1.2.3: it's é", "web-01") ==
          "web-011 and my-web-01 at 12:30, version 1.2.3: it's é");
    CHECK(without_hosts("", "x").empty());
    CHECK(without_hosts(": ... :", "x") == ": ... :");
}
