// Where a body ends: every doubtful answer is refused.
#include "net/http_framing.h"

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

TEST_CASE("Connection decides with the version") {
    const std::string http10 = "GET / HTTP/1.0\r\n";
    const std::string closes = "GET / 1.1 close []";
    check_rows(Kind::request, {{get("Connection: TE, close\r\n"), closes},
                               {get("connection: CLOSE\r\n"), closes},
                               {get("Connection: keep-alive\r\nConnection: ,close\r\n"), closes},
                               {get("Connection: closed, not close\r\n"), ok},
                               {get("Connection: \"close\"\r\n"), ok},
                               {http10 + "Connection: Keep-Alive\r\n\r\n", "GET / 1.0 keep []"},
                               {http10 + "Connection: keep-alive, close\r\n\r\n", "GET / 1.0 close []"},
                               {http10 + "Keep-Alive: timeout=5\r\n\r\n", "GET / 1.0 close []"}});
}

TEST_CASE("Content-Length and Transfer-Encoding") {
    const std::string length = "bad-request: malformed Content-Length";
    const std::string conflict = "bad-request: conflicting Content-Length";
    const std::string both = "bad-request: conflicting Content-Length and Transfer-Encoding";
    const std::string coding = "not-implemented: unsupported Transfer-Encoding";
    const std::string large = "too-large: request too large";
    check_rows(Kind::request,
               {{get("Content-Length: 2\r\n", "hi"), "GET / 1.1 keep [hi]"},
                {get("Content-Length: 0002\r\n", "hi"), "GET / 1.1 keep [hi]"},
                {get("Content-Length: 0\r\n", "GET /b HTTP/1.1\r\n\r\n"), ok + "; GET /b 1.1 keep []"},
                {get("Content-Length: 2\r\n", "hi!"), "GET / 1.1 keep [hi]; closed: incomplete request"},
                {get("Content-Length: 2\r\n", "h"), "closed: incomplete request"},
                {get("", "stray"), ok + "; closed: incomplete request"},
                {get("Content-Length: 2\r\n", "\r\n\r\n"), "GET / 1.1 keep [\r\n]"},
                {get("Content-Length:\r\n"), length},
                {get("Content-Length: -1\r\n"), length},
                {get("Content-Length: +2\r\n"), length},
                {get("Content-Length: 0x2\r\n"), length},
                {get("Content-Length: 2 2\r\n"), length},
                {get("Content-Length: 2, 2\r\n"), length},
                {get("Content-Length: 2;\r\n"), length},
                {get("Content-Length: 1e3\r\n"), length},
                {get("Content-Length: 2\r\nContent-Length: 2\r\n"), conflict},
                {get("Content-Length: 2\r\ncontent-length: 3\r\n"), conflict},
                {get("Content-Length: 1048577\r\n"), large},
                {get("Content-Length: 18446744073709551616\r\n"), large},
                {get("Content-Length: 18446744073709551618\r\n", "hi"), large},
                {get("Content-Length: " + repeated("9", 400) + "\r\n"), large},
                {get("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"), both},
                {get("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"), both},
                {get("Transfer-Encoding: identity\r\nContent-Length: 4\r\n"), both},
                {get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
                 "bad-request: repeated Transfer-Encoding"},
                {get("Transfer-Encoding: gzip, chunked\r\n"), coding},
                {get("Transfer-Encoding: chunked, identity\r\n"), coding},
                {get("Transfer-Encoding: chunked, chunked\r\n"), coding},
                {get("Transfer-Encoding: xchunked\r\n"), coding},
                {get("Transfer-Encoding: chunked;q=1\r\n"), coding},
                {get("Transfer-Encoding: \"chunked\"\r\n"), coding},
                {get("Transfer-Encoding:\r\n"), coding},
                {get("Transfer-Encoding: \vchunked\r\n"), "bad-request: control character in a header value"},
                {get("Transfer-Encoding : chunked\r\n"), "bad-request: malformed header name"},
                {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                 "bad-request: Transfer-Encoding in HTTP/1.0"}});
}

TEST_CASE("chunked bodies") {
    const std::string malformed = "bad-request: malformed chunk";
    const std::string extensions = "bad-request: chunk extensions too long";
    const std::string incomplete = "closed: incomplete request";
    const std::string large = "too-large: request too large";
    const std::string too_many = "too-many-headers: too many headers";
    const std::string hello = "GET / 1.1 keep [hello]";
    check_rows(Kind::request,
               {{chunked("5\r\nhello\r\n0\r\n\r\n"), hello},
                {chunked("1\r\nh\r\n0004\r\nello\r\n00\r\n\r\n"), hello},
                {get("transfer-encoding: Chunked\r\n", "A\r\n0123456789\r\n0\r\n\r\n"),
                 "GET / 1.1 keep [0123456789]"},
                {chunked("0\r\n\r\nGET /b HTTP/1.1\r\n\r\n"), ok + "; GET /b 1.1 keep []"},
                {chunked("5;a=\"b\" ;c\r\nhello\r\n0;x\r\n\r\n"), hello},
                {chunked("5 \t;a\r\nhello\r\n0\r\nTrailer: x\r\n\r\n"), hello},
                {chunked("5\r\nhello\r\n0\r\nContent-Length: 7\r\nHost: x\r\n\r\n"), hello},
                {chunked("5\r\nhello\r\n0\r\n"), incomplete},
                {chunked("5\r\nhel"), incomplete},
                {chunked("5\nhello\r\n0\r\n\r\n"), malformed},
                {chunked("5;a\nhello\r\n0\r\n\r\n"), malformed},
                {chunked("5\r\nhello\n0\r\n\r\n"), malformed},
                {chunked("5\r\nhello\r\n0\n\n"), malformed},
                {chunked("0\r\nX: y\n\r\n"), malformed},
                {chunked("0\r\n\n"), malformed},
                {chunked("5\r\nhelloX\r\n0\r\n\r\n"), malformed},
                {chunked("5\r\nhello0\r\n\r\n"), malformed},
                {chunked("5 \r\nhello\r\n0\r\n\r\n"), malformed},
                {chunked(" 5\r\nhello\r\n0\r\n\r\n"), malformed},
                {chunked("0x5\r\nhello\r\n0\r\n\r\n"), malformed},
                {chunked("+5\r\nhello\r\n0\r\n\r\n"), malformed},
                {chunked("-1\r\n"), malformed},
                {chunked("\r\n"), malformed},
                {chunked(";a\r\n"), malformed},
                {chunked("5\rhello\r\n"), malformed},
                {chunked("5;a\rb\r\n"), malformed},
                {chunked("5;\0\r\n"s), malformed},
                {chunked("00000000000000005\r\n"), malformed},
                {chunked("10000000000000005\r\n"), malformed},
                {chunked("ffffffffffffffff\r\n"), large},
                {chunked("fffffffffffffffe\r\n"), large},
                {chunked("100001\r\n"), large},
                {chunked("1\r\na\r\n100000\r\n"), large},
                {chunked("5;" + repeated("a", 8191) + "\r\nhello\r\n0\r\n\r\n"), hello},
                {chunked("5;" + repeated("a", 8192) + "\r\nhello\r\n0\r\n\r\n"), extensions},
                {chunked("5;" + repeated("a", 9000)), extensions},
                {chunked(repeated("1;" + repeated("a", 999) + "\r\nx\r\n", 9)), extensions},
                {chunked("0\r\n" + repeated("X: a\r\n", 32) + "\r\n"), ok},
                {chunked("0\r\n" + repeated("X: a\r\n", 33) + "\r\n"), too_many},
                {chunked("0\r\nX: " + repeated("a", 8190) + "\r\n\r\n"), too_many},
                {chunked("0\r\n folded\r\n\r\n"), "bad-request: folded header line"},
                {chunked("0\r\nno colon\r\n\r\n"), "bad-request: header line without a colon"}});
}
