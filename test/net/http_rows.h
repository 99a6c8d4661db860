// Tables of hostile and odd messages. One row: the bytes, and all that comes of them however they are cut up.
#pragma once

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_parser.h"
#include "test/net/http_replay.h"

namespace ctrlexec::test {

struct Row {
    std::string bytes;
    std::string outcome;
};

inline std::string repeated(std::string_view text, std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += text;
    return out;
}

// A request with these header lines, and with `rest` after the blank line.
inline std::string get(std::string_view headers, std::string_view rest = "") {
    return "GET / HTTP/1.1\r\n" + std::string(headers) + "\r\n" + std::string(rest);
}
inline std::string chunked(std::string_view body) {
    return get("Transfer-Encoding: chunked\r\n", body);
}
inline std::string answer(std::string_view headers, std::string_view rest = "") {
    return "HTTP/1.1 200 OK\r\n" + std::string(headers) + "\r\n" + std::string(rest);
}

inline void check_rows(HttpParser::Kind kind, const std::vector<Row>& rows) {
    std::minstd_rand random(1);  // the same cuts in every run
    for (const Row& row : rows) {
        CAPTURE(row.bytes.substr(0, 300));
        const auto whole = replay(kind, {}, row.bytes, [&row] { return row.bytes.size(); });
        CHECK(whole.outcome == row.outcome);
        CHECK_FALSE(whole.misbehaved);
        std::vector<Replay> others{replay(kind, {}, row.bytes, [] { return std::size_t{1}; })};
        for (int i = 0; i < 8; ++i) {
            others.push_back(replay(kind, {}, row.bytes, [&random] { return std::size_t{random() % 20}; }));
        }
        for (const Replay& other : others) {
            CHECK(other.outcome == whole.outcome);
            CHECK(other.headers == whole.headers);
            CHECK_FALSE(other.misbehaved);
        }
    }
}

}  // namespace ctrlexec::test
