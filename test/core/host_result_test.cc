#include "core/host_result.h"

#include <doctest/doctest.h>

#include <set>
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
        R"({"host":"web-01","script":"s","exit":0,"stdout":"out","stderr":"err","rtt":"45ms","reqid":"r","outcome":"ok"})");
    CHECK(
        dumped(R"({"script":"s","exit":-1,"error":"not authorised: x","reqid":12})") ==
        R"({"host":"web-01","script":"s","exit":-1,"error":"not authorised: x","rtt":"45ms","reqid":"12","outcome":"refused"})");
    CHECK(
        dumped(R"({"script":"s","exit":"3"})") ==
        R"({"host":"web-01","script":"s","exit":3,"stdout":"","stderr":"","rtt":"45ms","reqid":"","outcome":"failed"})");
    CHECK(
        dumped(R"({"script":"s","exit":127,"error":"cannot execute","stdout":"","stderr":"x"})") ==
        R"({"host":"web-01","script":"s","exit":127,"stdout":"","stderr":"x","error":"cannot execute","rtt":"45ms","reqid":"","outcome":"failed"})");
}

TEST_CASE("a result that is given away is written the same") {
    RunResult result;
    result.host = "web-01";
    result.exit = 0;
    result.output = "text\n";
    result.errors = "a\xff";
    const std::string kept = json::dump(result.to_json());
    CHECK(json::dump(std::move(result).to_json()) == kept);
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

namespace {

struct OutcomeRow {
    std::string_view body;  // of an agent
    Outcome outcome;
    std::string_view label;
};

}  // namespace

TEST_CASE("what an agent answers has one outcome, and only exit 0 without a but is ok") {
    for (const OutcomeRow& row : {
             OutcomeRow{R"({"exit":0})", Outcome::ok, "ok"},
             {R"({"exit":3})", Outcome::failed, "failed"},
             {R"({"exit":126,"signal":9})", Outcome::failed, "failed"},
             {R"({"exit":127,"error":"cannot execute"})", Outcome::failed, "failed"},
             {R"({"exit":0,"error":"but"})", Outcome::failed, "failed"},
             {R"({"exit":126,"timed_out":true,"signal":15})", Outcome::timed_out, "script-timed-out"},
             {R"({"exit":0,"timed_out":true})", Outcome::timed_out, "script-timed-out"},
             {R"({"exit":126,"cancelled":true})", Outcome::cancelled, "cancelled"},
             {R"({"exit":0,"cancelled":true})", Outcome::cancelled, "cancelled"},
             {R"({"exit":-1,"error":"script not permitted"})", Outcome::refused, "refused"},
             {R"({"exit":-1,"error":"x","timed_out":true})", Outcome::refused, "refused"},
             {R"({"exit":-1,"error":"busy: 8 scripts run","busy":true})", Outcome::busy, "busy"},
             {R"({"exit":-1,"error":"the host was restarted","lost":true})", Outcome::lost, "lost"},
             {R"({"exit":0,"outcome":"missing","still_running":true})", Outcome::ok, "ok"},
             {R"({"exit":1,"outcome":"ok"})", Outcome::failed, "failed"},
         }) {
        CAPTURE(row.body);
        const RunResult result = run(row.body);
        CHECK(result.outcome() == row.outcome);
        CHECK(result.label() == row.label);
        CHECK(result.ok() == (row.outcome == Outcome::ok));
        CHECK(mentions(dumped(row.body), "\"outcome\":\"" + std::string(word(row.outcome)) + "\"}"));
    }
}

TEST_CASE("what did not answer is missing, and its label says why") {
    RunResult result;
    result.error = "why";
    result.failure = Errc::timed_out;
    CHECK(result.outcome() == Outcome::missing);
    CHECK(result.label() == "timed-out");
    result.failure = Errc::refused;
    CHECK(result.outcome() == Outcome::missing);
    CHECK(result.label() == "refused-connection");
    result.failure = Errc::denied;  // 403: the agent answered
    CHECK(result.outcome() == Outcome::refused);
    result.failure = Errc::timed_out;
    result.still_running = true;
    CHECK(result.outcome() == Outcome::still_running);
    CHECK(result.label() == "timed-out");
}

TEST_CASE("every outcome has a word of its own, and is the same again when its record is read") {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < outcome_count; ++i) {
        const auto outcome = static_cast<Outcome>(i);
        CHECK(seen.insert(word(outcome)).second);
        RunResult result;
        result.host = "web-01";
        result.rtt = "3ms";
        result.error = outcome == Outcome::ok || outcome == Outcome::failed ? "" : "why";
        result.exit = outcome == Outcome::ok ? 0 : outcome == Outcome::refused ? -1 : 126;
        result.timed_out = outcome == Outcome::timed_out;
        result.cancelled = outcome == Outcome::cancelled;
        result.busy = outcome == Outcome::busy;
        result.lost = outcome == Outcome::lost;
        result.still_running = outcome == Outcome::still_running;
        result.skipped = outcome == Outcome::skipped;
        result.pending = outcome == Outcome::pending;
        if (outcome == Outcome::missing) result.failure = Errc::closed;
        REQUIRE(result.outcome() == outcome);
        const json::Value record = result.to_json();
        const RunResult again = RunResult::from_record(record);
        CHECK(again.outcome() == outcome);
        CHECK(json::dump(again.to_json()) == json::dump(record));
    }
}

TEST_CASE("a record without an outcome, as 0.8.4 wrote them, has one") {
    const auto outcome_of = [](std::string_view text) {
        const auto value = json::parse(text, 1000);
        REQUIRE(value);
        return RunResult::from_record(*value).outcome();
    };
    CHECK(outcome_of(R"({"host":"a","exit":0,"stdout":""})") == Outcome::ok);
    CHECK(outcome_of(R"({"host":"a","exit":"7"})") == Outcome::failed);
    CHECK(outcome_of(R"({"host":"a","exit":-1,"error":"connection refused"})") == Outcome::refused);
    CHECK(outcome_of(R"({"host":"a"})") == Outcome::refused);
}

TEST_CASE("why a script ended, and how much it wrote, is passed on") {
    CHECK(
        dumped(R"({"script":"s","exit":126,"stdout":"x","stderr":"","stdout_truncated":true,)"
               R"("stdout_bytes":10000000000,"stderr_bytes":5,"signal":15,"timed_out":true,"reqid":"r"})") ==
        R"({"host":"web-01","script":"s","exit":126,"stdout":"x","stderr":"","stdout_truncated":true,)"
        R"("stdout_bytes":10000000000,"signal":15,"timed_out":true,"rtt":"45ms","reqid":"r",)"
        R"("outcome":"timed-out"})");
    // Odd ones are as good as none.
    for (const auto* body :
         {R"({"exit":1,"signal":-1})", R"({"exit":1,"signal":"x"})", R"({"exit":1,"signal":65})",
          R"({"exit":1,"signal":[9]})", R"({"exit":1,"stdout_truncated":true,"stdout_bytes":-5})",
          R"({"exit":1,"timed_out":"yes","cancelled":null,"busy":0,"lost":[]})"}) {
        CAPTURE(body);
        const RunResult result = run(body);
        CHECK(result.signal == 0);
        CHECK(result.output_bytes == 0);
        CHECK(result.outcome() == Outcome::failed);
    }
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
