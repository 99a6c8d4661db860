// Hostile and odd heads, and what may follow an answer's head.
#include <doctest/doctest.h>

#include <string>

#include "net/http_parser.h"
#include "test/net/http_rows.h"

using namespace ctrlexec;
using namespace ctrlexec::test;
using namespace std::literals;
using Kind = HttpParser::Kind;

namespace {

const std::string ok = "GET / 1.1 keep []";

}  // namespace

TEST_CASE("request lines") {
    const std::string malformed = "bad-request: malformed request line";
    const std::string target = "bad-request: malformed request target";
    const std::string version = "bad-version: unsupported HTTP version";
    check_rows(Kind::request,
               {{"", "bad-request: empty request"},
                {"GET / HTTP/1.1\r\n\r\n", ok},
                {"GET / HTTP/1.1\n\n", ok},
                {"GET / HTTP/1.1\r\n\n", ok},
                {"\r\nGET / HTTP/1.1\r\n\r\n", ok},
                {"\nGET / HTTP/1.1\r\n\r\n", ok},
                {"\r\n", "bad-request: empty request"},
                {"\r\n\r\nGET / HTTP/1.1\r\n\r\n", "bad-request: empty request"},
                {"\r", "closed: incomplete request"},
                {"GET / HTTP/1.1", "closed: incomplete request"},
                {"GET / HTTP/1.1\r\n", "closed: incomplete request"},
                {"GET / HTTP/1.1\r\n\r", "closed: incomplete request"},
                {"GET / HTTP/1.1\r\r\n\r\n", malformed},
                {"GET / HTTP/1.1\rHost: a\r\n\r\n", malformed},
                {"\rGET / HTTP/1.1\r\n\r\n", malformed},
                {"GET /\r\n\r\n", malformed},
                {"GET\r\n\r\n", malformed},
                {"GET  / HTTP/1.1\r\n\r\n", target},
                {"GET /  HTTP/1.1\r\n\r\n", target},
                {"GET / HTTP/1.1 \r\n\r\n", malformed},
                {" GET / HTTP/1.1\r\n\r\n", malformed},
                {"GET\t/ HTTP/1.1\r\n\r\n", malformed},
                {"GET /\tHTTP/1.1\r\n\r\n", malformed},
                {"GET /a b HTTP/1.1\r\n\r\n", target},
                {"G(T / HTTP/1.1\r\n\r\n", malformed},
                {"G\0T / HTTP/1.1\r\n\r\n"s, malformed},
                {"get / HTTP/1.1\r\n\r\n", "get / 1.1 keep []"},
                {"M-SEARCH * HTTP/1.1\r\n\r\n", "M-SEARCH * 1.1 keep []"},
                {"OPTIONS *x HTTP/1.1\r\n\r\n", target},
                {"GET run HTTP/1.1\r\n\r\n", target},
                {"CONNECT agent2:22 HTTP/1.1\r\n\r\n", target},
                {"GET http://a/run HTTP/1.1\r\n\r\n", "GET http://a/run 1.1 keep []"},
                {"GET HTTPS://a HTTP/1.1\r\n\r\n", "GET HTTPS://a 1.1 keep []"},
                {"GET http:///run HTTP/1.1\r\n\r\n", target},
                {"GET http:// HTTP/1.1\r\n\r\n", target},
                {"GET ftp://a/run HTTP/1.1\r\n\r\n", target},
                {"GET /\x7f HTTP/1.1\r\n\r\n", target},
                {"GET /\0 HTTP/1.1\r\n\r\n"s, target},
                {"GET /\xc3\xa4 HTTP/1.1\r\n\r\n", target},
                {"GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close []"},
                {"GET / HTTP/0.9\r\n\r\n", version},
                {"GET / HTTP/1.2\r\n\r\n", version},
                {"GET / HTTP/2\r\n\r\n", version},
                {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", version},
                {"GET run HTTP/3.0\r\n\r\n", version},
                {"GET / http/1.1\r\n\r\n", malformed},
                {"GET / HTTP/1.10\r\n\r\n", malformed},
                {"GET / HTTP/1.\r\n\r\n", malformed},
                {"GET / HTTP/01.1\r\n\r\n", malformed},
                {"GET / HTTPS/1.1\r\n\r\n", malformed},
                {"GET /" + repeated("a", 8178) + " HTTP/1.1\r\n\r\n",
                 "GET /" + repeated("a", 8178) + " 1.1 keep []"},
                {"GET /" + repeated("a", 8179) + " HTTP/1.1\r\n\r\n", "too-many-headers: too many headers"},
                {repeated("a", 8193), "closed: incomplete request"},
                {repeated("a", 8194), "too-many-headers: too many headers"},
                {"\x16\x03\x01\x02\n", malformed}});
}

TEST_CASE("header lines") {
    const std::string name = "bad-request: malformed header name";
    const std::string value = "bad-request: control character in a header value";
    const std::string folded = "bad-request: folded header line";
    const std::string too_many = "too-many-headers: too many headers";
    check_rows(Kind::request, {{get("Host: a\r\n"), ok},
                               {get("Host:a\nX:\t b \t\r\n"), ok},
                               {get("Host: a\r\nhost: a\r\n"), "bad-request: repeated Host"},
                               {get("X:\r\nX:\r\n"), ok},
                               {get("X: a\xc3\xa4:;,=\r\n"), ok},
                               {get("Host : a\r\n"), name},
                               {get("Host\t: a\r\n"), name},
                               {get(": a\r\n"), name},
                               {get("Ho st: a\r\n"), name},
                               {get("H\xc3\xa4: a\r\n"), name},
                               {get("H\0: a\r\n"s), name},
                               {get("H[]: a\r\n"), name},
                               {get("Host\r\n"), "bad-request: header line without a colon"},
                               {get(" Host: a\r\n"), folded},
                               {get("X: a\r\n b\r\n"), folded},
                               {get("X: a\r\n\tb\r\n"), folded},
                               {get("X: a\r\n \r\n"), folded},
                               {get("X: a\rb\r\n"), value},
                               {get("X: a\rTransfer-Encoding: chunked\r\n"), value},
                               {get("X: a\r\r\n"), value},
                               {get("X: a\0b\r\n"s), value},
                               {get("X: a\x01\r\n"), value},
                               {get("X: a\x7f\r\n"), value},
                               {get("X: a\vb\r\n"), value},
                               {get(repeated("X: a\r\n", 32)), ok},
                               {get(repeated("X: a\r\n", 33)), too_many},
                               {get(repeated("X: a\n", 32) + "no colon\r\n"), too_many},
                               {get("X:" + repeated("a", 8190) + "\r\n"), ok},
                               {get("X:" + repeated("a", 8190) + "\n"), ok},
                               {get("X:" + repeated("a", 8191) + "\r\n"), too_many},
                               {get("X:" + repeated("a", 8191) + "\n"), too_many},
                               {get("X:" + repeated("a", 90000)), too_many}});
}

TEST_CASE("responses") {
    const std::string malformed = "bad-answer: malformed status line";
    const std::string bodiless = "bad-answer: a body announced by a status that has none";
    const std::string large = "too-large: answer too large";
    const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
    check_rows(
        Kind::response,
        {{"", "closed: connection closed without an answer"},
         {answer("Content-Length: 2\r\n", "hi"), "200 1.1 keep [hi]"},
         {"HTTP/1.0 200 OK\nContent-Length: 2\n\nhi", "200 1.0 close [hi]"},
         {"HTTP/1.0 403 \r\nContent-Length: 0\r\n\r\n", "403 1.0 close []"},
         {"HTTP/1.0 403\r\nContent-Length: 0\r\n\r\n", "403 1.0 close []"},
         {answer("", "to the end\r\n\r\n"), "200 1.1 close [to the end\r\n\r\n]"},
         {answer("Connection: keep-alive\r\n"), "200 1.1 close []"},
         {answer("", repeated("a", 1u << 20)), "200 1.1 close [" + repeated("a", 1u << 20) + "]"},
         {answer("", repeated("a", (1u << 20) + 1)), large},
         {answer("Content-Length: 1048577\r\n"), large},
         {answer("Transfer-Encoding: chunked\r\n", "100001\r\n"), large},
         {answer("Transfer-Encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n"), "200 1.1 keep [hi]"},
         {answer("Content-Length: 2\r\n", "h"), "closed: connection closed within the answer"},
         {answer("Transfer-Encoding: chunked\r\n", "2\r\nhi\r\n"),
          "closed: connection closed within the answer"},
         {answer("Content-Length: 2\r\nContent-Length: 2\r\n"), "bad-answer: conflicting Content-Length"},
         {answer("Transfer-Encoding: gzip\r\n"), "not-implemented: unsupported Transfer-Encoding"},
         {answer("Transfer-Encoding: chunked\r\n", "x\r\n"), "bad-answer: malformed chunk"},
         {answer("Host: a\r\nHost: b\r\nContent-Length: 0\r\n"), "200 1.1 keep []"},
         {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
          "bad-answer: Transfer-Encoding in HTTP/1.0"},
         {"HTTP/1.1 204 No Content\r\n\r\n", "204 1.1 keep []"},
         {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204 1.1 keep []"},
         {"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", bodiless},
         {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9999999\r\n\r\n", "304 1.1 keep []"},
         {interim + answer("Content-Length: 0\r\n"), "200 1.1 keep []"},
         {repeated(interim, 8) + answer("Content-Length: 0\r\n"), "200 1.1 keep []"},
         {repeated(interim, 9), "bad-answer: too many interim answers"},
         {repeated(interim, 1000), "bad-answer: too many interim answers"},
         {interim, "closed: connection closed within the answer"},
         {"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nhi", bodiless},
         {"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n", bodiless},
         {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "bad-answer: unasked 101 Switching Protocols"},
         {"\r\n" + answer(""), malformed},
         {"HTTP/1.1  200 OK\r\n\r\n", malformed},
         {"HTTP/1.1 20 OK\r\n\r\n", malformed},
         {"HTTP/1.1 2000 OK\r\n\r\n", malformed},
         {"HTTP/1.1 099 OK\r\n\r\n", malformed},
         {"HTTP/1.1 600 OK\r\n\r\n", malformed},
         {"HTTP/1.1 -20 OK\r\n\r\n", malformed},
         {"HTTP/1.1 200 O\0K\r\n\r\n"s, malformed},
         {"HTTP/1.1 200 O\rK\r\n\r\n", malformed},
         {"HTTP/1.1\r\n\r\n", malformed},
         {"ICY 200 OK\r\n\r\n", malformed},
         {"HTTP/2 200\r\n\r\n", "bad-version: unsupported HTTP version"},
         {"HTTP/1.1 200 " + repeated("a", 9000), "too-many-headers: too many headers"},
         {"SSH-2.0-OpenSSH_9.2\r\n", malformed}});
}
