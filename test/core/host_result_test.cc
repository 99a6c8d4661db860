#include "core/host_result.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "test/temp_dir.h"

#include "core/timestamp.h"

using namespace ctrlexec;
using ctrlexec::testing::mentions;

namespace {

RunResult run(std::string_view body) {
    auto result = RunResult::parse(body);
    REQUIRE_MESSAGE(result, body);
    return std::move(*result);
}

std::string dumped(std::string_view body, std::string_view host = "web-01") {
    RunResult result = run(body);
    result.host = host;
    result.rtt = "45ms";
    return json::dump(result.to_json());
}

}  // namespace

TEST_CASE("the answer of an old agent is understood") {
    const RunResult result =
        run("{\"exit\":42,\"script\":\"exit-code\",\"stderr\":\"\",\"reqid\":\"r1\",\"stdout\":\"exiting "
            "with code 42\\n\"}");
    CHECK(result.exit == 42);
    CHECK(result.script == "exit-code");
    CHECK(result.output == "exiting with code 42\n");
    CHECK(result.errors == "");
    CHECK(result.error == "");
    CHECK(result.reqid == "r1");
    CHECK_FALSE(result.ok());
}

TEST_CASE("an exit status is a whole number from -1 to 255, as number or text") {
    struct Row {
        std::string_view exit;
        int status;
    };
    for (const Row& row :
         {Row{"0", 0}, Row{"255", 255}, Row{"126", 126}, Row{"\"0\"", 0}, Row{"\"7\"", 7}, Row{"-1", -1}}) {
        CHECK(run("{\"exit\":" + std::string(row.exit) + "}").exit == row.status);
    }
}

TEST_CASE("an answer with a missing or odd exit status is never success") {
    CHECK(run(R"({"exit":0})").ok());
    for (const auto* body : {"{}",
                             R"({"exit":null})",
                             R"({"exit":""})",
                             R"({"exit":false})",
                             R"({"exit":true})",
                             R"({"exit":[]})",
                             R"({"exit":[0]})",
                             R"({"exit":{}})",
                             R"({"exit":256})",
                             R"({"exit":-2})",
                             R"({"exit":"ok"})",
                             R"({"exit":" 0"})",
                             R"({"exit":"0 "})",
                             R"({"exit":"0\u0000"})",
                             R"({"exit":0.0})",
                             R"({"exit":-0.0})",
                             R"({"exit":0.5})",
                             R"({"exit":1e-300})",
                             R"({"exit":4294967296})",
                             R"({"exit":18446744073709551616})",
                             R"({"Exit":0})",
                             R"({"exit ":0})",
                             R"({"exit":1,"exit":0})"}) {
        const auto result = RunResult::parse(body);
        REQUIRE_MESSAGE(!result, body);
        CHECK(result.error().code == Errc::bad_answer);
    }
}

TEST_CASE("an answer that is no JSON object is a bad answer") {
    for (const auto* body :
         {"", "0", "[]", "null", "\"ok\"", "{\"exit\":0", "{\"exit\":0}}", "<html>", "\xff"}) {
        CHECK_MESSAGE(RunResult::parse(body).error().code == Errc::bad_answer, body);
        CHECK_MESSAGE(PingResult::parse(body).error().code == Errc::bad_answer, body);
    }
}

TEST_CASE("a refused run keeps the agent's reason, and always has one") {
    const RunResult refused = run(R"({"script":"x","exit":-1,"error":"script not permitted","reqid":"r"})");
    CHECK(refused.exit == -1);
    CHECK(refused.error == "script not permitted");
    CHECK_FALSE(refused.ok());
    CHECK_FALSE(run(R"({"exit":-1})").error.empty());
    CHECK_FALSE(run(R"({"exit":0,"error":"but"})").ok());
}

TEST_CASE("a run's result is written as the API documents it") {
    CHECK(
        dumped(R"({"script":"s","exit":0,"stdout":"out","stderr":"err","reqid":"r"})") ==
        R"({"host":"web-01","script":"s","exit":0,"stdout":"out","stderr":"err","rtt":"45ms","reqid":"r"})");
    CHECK(
        dumped(R"({"script":"s","exit":-1,"error":"not authorised: x","reqid":12})") ==
        R"({"host":"web-01","script":"s","exit":-1,"error":"not authorised: x","rtt":"45ms","reqid":"12"})");
    CHECK(dumped(R"({"script":"s","exit":"3"})") ==
          R"({"host":"web-01","script":"s","exit":3,"stdout":"","stderr":"","rtt":"45ms","reqid":""})");
    CHECK(
        dumped(R"({"script":"s","exit":127,"error":"cannot execute","stdout":"","stderr":"x"})") ==
        R"({"host":"web-01","script":"s","exit":127,"stdout":"","stderr":"x","error":"cannot execute","rtt":"45ms","reqid":""})");
}

TEST_CASE("the host of a result is the one that was asked, whatever the agent calls itself") {
    CHECK(run(R"({"exit":0,"host":"evil"})").host == "");
    const auto ping = PingResult::parse(R"({"status":"ok","host":"evil"})");
    REQUIRE(ping);
    CHECK(ping->host == "");
    CHECK(ping->reported_hostname == "evil");
}

TEST_CASE("output that is not UTF-8 comes through exactly, and is written as valid JSON") {
    const std::string text =
        dumped(R"({"script":"s","exit":0,"stdout":"a\ufffd","stdout_b64":"Yf8=","stderr":""})");
    const auto value = json::parse(text, 10'000);
    REQUIRE(value);
    CHECK(value->text("stdout") == "a\ufffd");
    CHECK(value->text("stdout_b64") == "Yf8=");
    CHECK(run(text).output == "a\xff");
}

TEST_CASE("output that was cut is marked as cut") {
    CHECK(
        mentions(dumped(R"({"exit":0,"stdout":"x","stdout_truncated":true})"), R"("stdout_truncated":true)"));
    CHECK(mentions(dumped(R"({"exit":0,"stderr_truncated":true})"), R"("stderr_truncated":true)"));
    for (const auto* body :
         {R"({"exit":0})", R"({"exit":0,"stdout_truncated":false,"stderr_truncated":null})"}) {
        CHECK_FALSE(mentions(dumped(body), "truncated"));
    }
}

TEST_CASE("a ping's answer is understood only with its status") {
    auto ping = PingResult::parse(
        R"({"status":"ok","host":"web-01","version":"0.8.4","expiry":"Jun  7 16:28:00 2027 GMT","reqid":"r"})");
    REQUIRE(ping);
    CHECK(ping->ok());
    ping->host = "web-01";
    ping->rtt = "3ms";
    CHECK(
        json::dump(ping->to_json()) ==
        R"({"host":"web-01","status":"ok","rtt":"3ms","expiry":"Jun  7 16:28:00 2027 GMT","version":"0.8.4","reqid":"r","days_left":)" +
            std::to_string(*days_until("Jun  7 16:28:00 2027 GMT", now_seconds())) + "}");
    ping->host = "10.0.0.1";
    CHECK(mentions(json::dump(ping->to_json()), R"("reported_hostname":"web-01")"));
    for (const auto* body :
         {"{}", R"({"status":"OK"})", R"({"status":true})", R"({"status":1})", R"({"status":["ok"]})"}) {
        CHECK_MESSAGE(!PingResult::parse(body), body);
    }
    CHECK(PingResult::parse(R"({"error":"serial mismatch","status":"forbidden"})").error().message ==
          "serial mismatch");
}

TEST_CASE("a ping that failed is written with its reason and nothing else") {
    PingResult ping;
    ping.host = "web-01";
    ping.rtt = "10ms";
    ping.error = "connection refused";
    ping.version = "left over";
    CHECK_FALSE(ping.ok());
    CHECK(json::dump(ping.to_json()) ==
          R"({"host":"web-01","status":"error","error":"connection refused","rtt":"10ms"})");
}

TEST_CASE("the outcome of a run is one word of a closed set") {
    RunResult result;
    result.exit = 0;
    CHECK(result.outcome() == "ok");
    result.exit = 3;
    CHECK(result.outcome() == "failed");
    result.exit = -1;
    result.error = "script not permitted";
    CHECK(result.outcome() == "refused");
    result.failure = Errc::timed_out;
    CHECK(result.outcome() == "timed-out");
    result.failure = Errc::refused;
    CHECK(result.outcome() == "refused-connection");
}

TEST_CASE("what an agent says it can do has the promised members and types, and keeps what we do not know") {
    auto result = DiscoveryResult::parse(
        R"({"status":"ok","scripts":[{"name":7,"executable":1,"x":1}],"tags":{"a":1,"b":[]},"version":0.8,"new":[2],"rtt":1})");
    REQUIRE(result);
    result->host = "web-01";
    result->rtt = "3ms";
    CHECK(json::dump(result->to_json()) ==
          R"({"status":"ok","scripts":[{"name":"7","path":"","executable":true}],"tags":{"a":"1","b":""},)"
          R"("version":"0.8","new":[2],"host":"","rtt":"3ms"})");
    CHECK(DiscoveryResult::parse(R"({"status":"ok","scripts":[],"tags":[]})"));
}

TEST_CASE("an answer without a list of scripts is none about what an agent can do") {
    for (const std::string_view body :
         {R"({"scripts":[]})", R"({"status":"ok"})", R"({"status":"ok","scripts":{}})",
          R"({"status":"ok","scripts":["check-disk"]})"}) {
        CAPTURE(body);
        CHECK_FALSE(DiscoveryResult::parse(body));
    }
}
