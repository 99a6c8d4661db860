#include "core/run_request.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

RunRequest parsed(std::string_view body) {
    auto request = RunRequest::parse(body);
    REQUIRE_MESSAGE(request, body);
    return std::move(*request);
}

}  // namespace

TEST_CASE("the request of an old dispatcher is understood") {
    const RunRequest request =
        parsed(R"({"script":"true","token":"","reqid":"63b9006541c68492","username":"root","args":[]})");
    CHECK(request.script == "true");
    CHECK(request.token == "");
    CHECK(request.reqid == "63b9006541c68492");
    CHECK(request.username == "root");
    CHECK(request.arguments.empty());
}

TEST_CASE("arguments of every scalar kind become the text that Perl makes of them") {
    const RunRequest request = parsed(
        R"x({"args":["a b","",1,-2,0.1,1e20,true,false,null,"é\n\"","--","-x","$(id)",9223372036854775807]})x");
    CHECK(request.arguments == std::vector<std::string>{"a b", "", "1", "-2", "0.1", "1e+20", "1", "0", "",
                                                        "é\n\"", "--", "-x", "$(id)", "9223372036854775807"});
}

TEST_CASE("members may be missing, null, numbers or unknown") {
    const RunRequest empty = parsed("{}");
    CHECK(empty.script == "");
    CHECK(empty.reqid == "");
    CHECK(empty.arguments.empty());
    const RunRequest odd =
        parsed(R"({"script":7,"reqid":12,"args":null,"username":null,"token":[1],"new":{"a":1}})");
    CHECK(odd.script == "7");
    CHECK(odd.reqid == "12");
    CHECK(odd.username == "");
    CHECK(odd.token == "");
    CHECK(odd.arguments.empty());
}

TEST_CASE("what is no JSON object is invalid JSON, in the words of old agents") {
    for (const auto* body : {"", "null", "[]", "\"x\"", "1", "{", "{\"script\":\"a\",\"script\":\"b\"}",
                             "{}x", "{\"script\":\"\xff\"}", "{\"args\":[\"\\ud800\"]}", "script=true"}) {
        const auto request = RunRequest::parse(body);
        REQUIRE_MESSAGE(!request, body);
        CHECK(request.error().code == Errc::bad_request);
        CHECK(request.error().message == "invalid JSON");
    }
}

TEST_CASE("arguments that are no array of scalars are a problem that keeps script and reqid") {
    for (const auto* args :
         {"\"x\"", "{}", "1", "true", "false", "\"\"", "[[]]", "[{}]", "[\"a\",[\"b\"]]"}) {
        const RunRequest request =
            parsed(R"({"args":)" + std::string(args) + R"(,"script":"s","reqid":"r"})");
        CHECK_MESSAGE(request.problem == "args must be an array", args);
        CHECK(request.arguments.empty());
        CHECK(request.script == "s");
        CHECK(request.reqid == "r");
    }
    for (const auto* args : {"[]", "null", "[\"a\",1,null]"}) {
        CHECK_MESSAGE(parsed(R"({"args":)" + std::string(args) + "}").problem == "", args);
    }
}

TEST_CASE("an argument with a NUL byte is a problem: execve would cut it") {
    for (const auto* argument : {R"("\u0000")", R"("safe\u0000 --evil")", R"("x\u0000")"}) {
        CHECK_FALSE(parsed(R"({"args":["first",)" + std::string(argument) + R"(,"last"]})").problem.empty());
    }
}

TEST_CASE("a body over one megabyte is too large") {
    const std::string head = R"({"args":[")";
    const std::string tail = R"("]})";
    const std::size_t room = (1u << 20) - head.size() - tail.size();
    CHECK(parsed(head + std::string(room, 'x') + tail).arguments.at(0).size() == room);
    const auto request = RunRequest::parse(head + std::string(room + 1, 'x') + tail);
    REQUIRE_FALSE(request);
    CHECK(request.error().code == Errc::too_large);
}

TEST_CASE("a request that is written reads back as the same") {
    RunRequest request;
    request.script = "deploy";
    request.arguments = {"",           "two words", "é😀", "\"quoted\"", "back\\slash",
                         "line\nfeed", "\x1b[0m",   "-1", "1e3"};
    request.reqid = "r1";
    request.username = "ops \"team\"";
    request.token = "secret";
    const RunRequest again = parsed(request.to_json());
    CHECK(again.script == request.script);
    CHECK(again.arguments == request.arguments);
    CHECK(again.reqid == request.reqid);
    CHECK(again.username == request.username);
    CHECK(again.token == request.token);
    CHECK(RunRequest().to_json() == R"({"script":"","args":[],"reqid":"","username":"","token":""})");
}

TEST_CASE("a script finds one line of JSON on its stdin, with the caller and the time") {
    RunRequest request;
    request.script = "deploy";
    request.arguments = {"a\nb", "2"};
    request.reqid = "r1";
    request.username = "root";
    request.token = "t";
    CHECK(
        request.script_input("10.0.0.1", 1772798400) ==
        R"({"script":"deploy","args":["a\nb","2"],"reqid":"r1","peer_ip":"10.0.0.1","username":"root","token":"t",)"
        R"("timestamp":"2026-03-06T12:00:00Z"})");
}
