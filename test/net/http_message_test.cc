#include "net/http_message.h"

#include <doctest/doctest.h>

#include <string>

#include "net/http_fields.h"
#include "net/http_parser.h"

using namespace ctrlexec;

TEST_CASE("a response head is what old peers read") {
    CHECK(response_head(200, 0, 91, false) ==
          "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: 91\r\n\r\n");
}

TEST_CASE("a response head of HTTP/1.1 says when the connection ends") {
    CHECK(
        response_head(404, 1, 2, false, {{"X-Ctrl-Exec", "1"}}) ==
        "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\nX-Ctrl-Exec: 1\r\n"
        "Connection: close\r\n\r\n");
    CHECK(response_head(200, 1, 2, true).find("Connection") == std::string::npos);
    CHECK(response_head(200, 0, 2, false).find("Connection") == std::string::npos);
}

TEST_CASE("a response that has no content announces none") {
    CHECK(response_head(100, 1, 0, false) == "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(response_head(204, 1, 0, true) == "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST_CASE("a request head carries Host, and content headers only with a body") {
    CHECK(
        request_head("POST", "/run", "agent2:7443", 1, true, 83, {{"X-Ctrl-Exec", "1"}}) ==
        "POST /run HTTP/1.1\r\nHost: agent2:7443\r\nContent-Type: application/json\r\nContent-Length: 83\r\n"
        "X-Ctrl-Exec: 1\r\n\r\n");
    CHECK(request_head("GET", "/capabilities", "agent2", 0, false, 7) ==
          "GET /capabilities HTTP/1.0\r\nHost: agent2\r\n\r\n");
}

TEST_CASE("our own heads pass our own parser") {
    HttpParser request(HttpParser::Kind::request, {});
    const std::string sent = request_head("POST", "/run", "[::1]:7443", 1, true, 2) + "{}";
    REQUIRE(request.feed(sent));
    CHECK(request.complete());
    CHECK(request.message().header("host") == "[::1]:7443");
    HttpParser response(HttpParser::Kind::response, {});
    REQUIRE(response.feed(response_head(431, 1, 2, false) + "{}"));
    CHECK(response.complete());
    CHECK_FALSE(response.message().keep_alive);
}

#ifdef NDEBUG  // debug builds stop at the assertion instead
TEST_CASE("a value cannot end its line of a head") {
    using namespace std::literals;
    const std::string head =
        request_head("GE T", "/a b\r\nX: y", "h\r\n\r\nGET /", 1, false, 0, {{"A:\r\nB", "1\r\nC: 2\n\0"s}});
    CHECK(head == "GET /abX:y HTTP/1.1\r\nHost: hGET /\r\nAB: 1C: 2\r\n\r\n");
    CHECK(response_head(200, 0, 0, false, {{"X", "a\r\n\r\nb"}}).ends_with("X: ab\r\n\r\n"));
}
#endif

TEST_CASE("header() finds the first of a name, has_header() also an empty one") {
    HttpMessage message;
    message.headers = {{"host", "a"}, {"x", ""}, {"host", "b"}};
    CHECK(message.header("host") == "a");
    CHECK(message.header("x").empty());
    CHECK(message.has_header("x"));
    CHECK_FALSE(message.has_header("y"));
    CHECK(message.header("y").empty());
}

TEST_CASE("every status we send has a reason phrase") {
    for (const int status : {100, 200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 408, 409,
                             411, 413, 415, 417, 429, 431, 500, 501, 502, 503, 504, 505}) {
        CAPTURE(status);
        CHECK(reason_phrase(status) != "Unknown");
    }
    CHECK(reason_phrase(403) == "Forbidden");
    CHECK(reason_phrase(299) == "Unknown");
}

TEST_CASE("a header's list is compared token by token, in any case, over all its lines") {
    HttpMessage message;
    message.headers = {{"connection", "TE ,\tClose"}, {"connection", ""}, {"connection", ",x,"}};
    CHECK(http::header_lists(message, "connection", "te"));
    CHECK(http::header_lists(message, "connection", "close"));
    CHECK(http::header_lists(message, "connection", "x"));
    CHECK_FALSE(http::header_lists(message, "connection", "clos"));
    CHECK_FALSE(http::header_lists(message, "te", "te"));
}

TEST_CASE("case is folded in ASCII only") {
    CHECK(http::to_lower("X-\xC3\x84Z") == "x-\xC3\x84z");
    CHECK_FALSE(http::equal_ignoring_case("\xC3\x84", "\xC3\xA4"));
    CHECK_FALSE(http::equal_ignoring_case("[", "{"));
}
