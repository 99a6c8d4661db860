#include "net/http_parser.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "test/net/http_replay.h"

using namespace ctrlexec;
using Kind = HttpParser::Kind;

namespace {

const std::string run_body =
    R"({"script":"true","token":"","reqid":"63b9006541c68492","username":"root","args":[]})";
const std::string run_request =
    "POST /run HTTP/1.1\r\nTE: deflate,gzip;q=0.3\r\nConnection: TE, close\r\nHost: agent2:7443\r\n"
    "User-Agent: libwww-perl/6.68\r\nContent-Length: 83\r\nContent-Type: application/json\r\n\r\n" +
    run_body;

HttpParser fed(Kind kind, std::string_view bytes, HttpLimits limits = {}) {
    HttpParser parser(kind, limits);
    const auto taken = parser.feed(bytes);
    REQUIRE(taken);
    REQUIRE(*taken == bytes.size());
    return parser;
}

}  // namespace

TEST_CASE("a request of an old dispatcher is read") {
    HttpParser parser = fed(Kind::request, run_request);
    REQUIRE(parser.complete());
    const HttpMessage message = parser.take();
    CHECK(message.method == "POST");
    CHECK(message.target == "/run");
    CHECK(message.minor_version == 1);
    CHECK_FALSE(message.keep_alive);
    CHECK(message.headers.size() == 6);
    CHECK(message.header("te") == "deflate,gzip;q=0.3");
    CHECK(message.body == run_body);
    CHECK(parser.idle());
}

TEST_CASE("the answers of an old agent are read") {
    const std::string body =
        R"({"exit":42,"script":"exit-code","stderr":"","reqid":"r1","stdout":"exiting with code 42\n"})";
    HttpParser ok =
        fed(Kind::response,
            "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: 91\r\n\r\n" + body);
    REQUIRE(ok.complete());
    CHECK(ok.message().status == 200);
    CHECK(ok.message().minor_version == 0);
    CHECK_FALSE(ok.message().keep_alive);
    CHECK(ok.message().body == body);

    const std::string forbidden =
        "HTTP/1.0 403 Error\r\nContent-Type: application/json\r\nContent-Length: 49\r\n\r\n"
        R"({"error":"serial mismatch","status":"forbidden"})";
    HttpParser refused = fed(Kind::response, forbidden);
    CHECK_FALSE(refused.complete());  // one byte, the final newline, is still to come
    REQUIRE(refused.feed("\n"));
    CHECK(refused.complete());
    CHECK(refused.message().status == 403);
}

TEST_CASE("two answers on one connection are taken one by one") {
    const std::string first =
        "HTTP/1.0 200 OK\r\nContent-Length: 47\r\n\r\n"
        R"({"status":"pending","reqid":"4e78d832532b8fb5"})";
    const std::string second = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    HttpParser parser(Kind::response, {});
    const std::string both = first + second;
    const auto taken = parser.feed(both);
    REQUIRE(taken);
    CHECK(*taken == first.size());
    CHECK(parser.complete());
    CHECK(*parser.feed(second) == 0);  // nothing of the next message before take()
    CHECK(parser.take().body.starts_with("{\"status\":\"pending\""));
    CHECK(parser.idle());
    CHECK(*parser.feed(second) == second.size());
    CHECK(parser.take().body == "{}");
}

TEST_CASE("the phases of a request can be told apart") {
    HttpParser parser(Kind::request, {});
    CHECK(parser.idle());
    REQUIRE(parser.feed(""));
    REQUIRE(parser.feed("\r\n"));
    CHECK(parser.idle());
    REQUIRE(parser.feed("P"));
    CHECK_FALSE(parser.idle());
    REQUIRE(parser.feed("OST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n"));
    CHECK_FALSE(parser.head_complete());
    CHECK_FALSE(parser.expects_continue());
    REQUIRE(parser.feed("\r\n"));
    CHECK(parser.head_complete());
    CHECK(parser.expects_continue());
    CHECK(parser.message().target == "/");
    CHECK_FALSE(parser.complete());
    REQUIRE(parser.feed("hi"));
    CHECK(parser.complete());
    CHECK_FALSE(parser.expects_continue());
}

TEST_CASE("100-continue is not expected without a body or by HTTP/1.0") {
    CHECK_FALSE(fed(Kind::request, "POST / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n").expects_continue());
    const HttpParser old =
        fed(Kind::request, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    CHECK(old.head_complete());
    CHECK_FALSE(old.expects_continue());
}

TEST_CASE("a body over the limit is refused from its Content-Length, before a byte of it") {
    HttpParser request(Kind::request, {});
    auto taken = request.feed("POST / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n");
    REQUIRE_FALSE(taken);
    CHECK(taken.error().code == Errc::too_large);
    CHECK(taken.error().message == "request too large");
    HttpParser response(Kind::response, {});
    taken = response.feed("HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n");
    REQUIRE_FALSE(taken);
    CHECK(taken.error().code == Errc::too_large);
    CHECK(taken.error().message == "answer too large");
    CHECK(fed(Kind::request, "POST / HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n").head_complete());
}

TEST_CASE("a Content-Length alone makes us allocate little") {
    const HttpParser parser = fed(Kind::request, "POST / HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n");
    CHECK(parser.message().body.capacity() <= 65 * 1024);
}

TEST_CASE("the memory of a message is that of its head, its body and what the body reserves") {
    HttpParser parser = fed(Kind::request, "POST /run HTTP/1.1\r\n");
    const std::size_t line = parser.memory();
    CHECK(line >= 18);
    CHECK(line < 100);
    CHECK(parser.feed("A: " + std::string(8000, 'b') + "\r\n"));
    CHECK(parser.memory() >= line + 8000);
    CHECK(parser.feed("Content-Length: 1000000\r\n\r\n"));
    CHECK(parser.memory() >= 8000 + 64 * 1024);
    CHECK(parser.feed(std::string(1'000'000, ' ')));
    CHECK(parser.memory() >= 1'000'000);
    parser.take();
    CHECK(parser.memory() < 100);
}

TEST_CASE("an error is final") {
    HttpParser parser(Kind::request, {});
    REQUIRE_FALSE(parser.feed("nonsense\r\n"));
    const auto again = parser.feed("GET / HTTP/1.1\r\n\r\n");
    REQUIRE_FALSE(again);
    CHECK(again.error().message == "malformed request line");
    CHECK_FALSE(parser.finish());
    CHECK_FALSE(parser.complete());
    CHECK_FALSE(parser.idle());
}

TEST_CASE("a close is an end, a truncation or nothing at all") {
    HttpParser nothing(Kind::request, {});
    CHECK(test::summary(nothing.finish().error()) == "bad-request: empty request");
    HttpParser no_answer(Kind::response, {});
    CHECK(test::summary(no_answer.finish().error()) == "closed: connection closed without an answer");
    HttpParser cut = fed(Kind::request, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n1");
    CHECK(test::summary(cut.finish().error()) == "closed: incomplete request");
    HttpParser whole = fed(Kind::request, "GET / HTTP/1.1\r\n\r\n");
    CHECK(whole.finish());
    HttpParser open_ended = fed(Kind::response, "HTTP/1.1 200 OK\r\n\r\n1");
    CHECK_FALSE(open_ended.complete());
    REQUIRE(open_ended.finish());
    REQUIRE(open_ended.complete());
    CHECK(open_ended.take().body == "1");
    HttpParser after_interim = fed(Kind::response, "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK_FALSE(after_interim.idle());
    CHECK(after_interim.finish().error().code == Errc::closed);
}

TEST_CASE("nothing of one message is left in the next") {
    HttpParser parser = fed(Kind::request, "POST /a HTTP/1.0\r\nHost: x\r\nContent-Length: 1\r\n\r\n1");
    CHECK(parser.take().body == "1");
    REQUIRE(parser.feed("GET /b HTTP/1.1\r\n\r\n"));
    const HttpMessage next = parser.take();
    CHECK(next.headers.empty());
    CHECK(next.body.empty());
    CHECK(next.minor_version == 1);
    CHECK(next.keep_alive);
}

TEST_CASE("byte by byte costs time in proportion to the length") {
    const std::string line = "GET /" + std::string(1u << 20, 'a') + " HTTP/1.1\r\n\r\n";
    const std::string body =
        "POST / HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n" + std::string(1u << 20, 'b');
    const HttpLimits wide{.max_line = 2u << 20};
    const auto start = std::chrono::steady_clock::now();
    for (const std::string& bytes : {line, body}) {
        HttpParser parser(Kind::request, wide);
        std::size_t taken = 0;
        for (const char& byte : bytes) taken += parser.feed({&byte, 1}) ? 1 : 0;
        CHECK(taken == bytes.size());
        CHECK(parser.complete());
    }
    // Looking back over what was read would take 10^12 steps, which is minutes on any machine.
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(30));
}

TEST_CASE("102 Processing is remembered, and skipped like every interim answer") {
    HttpParser parser = fed(Kind::response, "HTTP/1.1 102 Processing\r\nX-Ctrl-Exec: 1\r\n\r\n");
    CHECK(parser.processing());
    CHECK_FALSE(parser.idle());
    REQUIRE(parser.feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    REQUIRE(parser.complete());
    CHECK(parser.take().body == "ok");
    CHECK_FALSE(parser.processing());
    CHECK_FALSE(fed(Kind::response, "HTTP/1.1 100 Continue\r\n\r\n").processing());
}

TEST_CASE("a body of the wanted type is passed on as it arrives, without a limit on its length") {
    const std::string head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
    HttpLimits limits;
    limits.max_body = 16;
    HttpParser parser(Kind::response, limits);
    std::string streamed;
    parser.stream_body("application/x-ndjson", [&](std::string_view piece) { streamed += piece; });
    REQUIRE(parser.feed(head));
    std::string expected;
    for (int i = 0; i < 100; ++i) {
        REQUIRE(parser.feed("5\r\nabcd\n\r\n"));
        expected += "abcd\n";
        CHECK(streamed == expected);
    }
    REQUIRE(parser.feed("3\r\nx"));
    CHECK(streamed == expected + "x");
    REQUIRE(parser.feed("yz\r\n0\r\n\r\n"));
    REQUIRE(parser.complete());
    CHECK(parser.take().body.empty());
    CHECK(streamed == expected + "xyz");

    HttpParser too_long(Kind::response, limits);
    too_long.stream_body("application/x-ndjson", [](std::string_view) {});
    CHECK(too_long.feed(head + "11\r\n").error().code == Errc::too_large);
}

TEST_CASE("a body of another type or status is kept although a stream was hoped for") {
    for (const char* head : {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
                             "HTTP/1.1 403 Forbidden\r\nContent-Type: application/x-ndjson\r\n"}) {
        HttpParser parser(Kind::response, {});
        parser.stream_body("application/x-ndjson", [](std::string_view) { FAIL("streamed"); });
        REQUIRE(parser.feed(std::string(head) + "Content-Length: 2\r\n\r\n{}"));
        REQUIRE(parser.complete());
        CHECK(parser.take().body == "{}");
    }
}
