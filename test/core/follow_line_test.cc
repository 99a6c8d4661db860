#include "core/follow_line.h"

#include <doctest/doctest.h>

using namespace ctrlexec;

TEST_CASE("output is taken with its place, exactly as the script wrote it") {
    const auto line =
        FollowLine::parse(R"({"stream":"stdout","offset":7,"data":"a\ufffd","data_b64":"Yf8="})");
    REQUIRE(line);
    CHECK_FALSE(line->errors);
    CHECK(line->bytes == "a\xff");
    CHECK(line->end() == 9);
    CHECK(json::dump(line->to_json("web-01")) ==
          "{\"host\":\"web-01\",\"stream\":\"stdout\",\"offset\":7,\"data\":\"a\ufffd\",\"data_b64\":\"Yf8="
          "\"}");
    const auto gap = FollowLine::parse(R"({"stream":"stderr","offset":5,"skipped":100})");
    REQUIRE(gap);
    CHECK(gap->errors);
    CHECK(gap->end() == 105);
    CHECK(json::dump(gap->to_json("h")) == R"({"host":"h","stream":"stderr","offset":5,"skipped":100})");
}

TEST_CASE("heartbeats, and lines of a kind that is not known yet, say nothing") {
    for (const auto* text : {R"({"heartbeat":true})", "{}", R"({"progress":50})"}) {
        const auto line = FollowLine::parse(text);
        REQUIRE_MESSAGE(line, text);
        CHECK(line->heartbeat());
    }
}

TEST_CASE("the result is the last line") {
    const auto line = FollowLine::parse(R"({"result":{"script":"s","exit":0}})");
    REQUIRE(line);
    REQUIRE(line->result);
    CHECK(line->result->scalar("exit") == "0");
    CHECK_FALSE(line->heartbeat());
}

TEST_CASE("a line that makes no sense is a bad answer") {
    for (const auto* text :
         {"", "[]", "nonsense", R"({"stream":"stdlog","offset":0})", R"({"stream":"stdout"})",
          R"({"stream":"stdout","offset":-1})",
          R"({"stream":"stdout","offset":9223372036854775807,"data":"x"})",
          R"({"stream":"stdout","offset":0,"skipped":0})", R"({"stream":"stdout","offset":0,"skipped":"x"})",
          R"({"result":7})", R"({"result":null})"}) {
        CAPTURE(text);
        const auto line = FollowLine::parse(text);
        REQUIRE(!line);
        CHECK(line.error().code == Errc::bad_answer);
    }
}
