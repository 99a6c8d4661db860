#include "net/live_output.h"

#include <doctest/doctest.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include "core/json.h"

using namespace ctrlexec;
using namespace std::chrono_literals;

namespace {

constexpr auto out = OutputStream::output;
constexpr auto err = OutputStream::error;

struct Fixture {
    asio::io_context io{1};
    LiveOutput live{io.get_executor()};

    bool wait(std::chrono::milliseconds longest) {
        std::optional<bool> woken;
        asio::co_spawn(io, live.wait(longest), [&](std::exception_ptr, bool value) { woken = value; });
        io.restart();
        io.run();
        return woken.value();
    }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "live output keeps the order of the streams") {
    live.add(out, "one");
    live.add(out, "two");
    live.add(err, "oops");
    live.add(out, "three");
    const auto pieces = live.take();
    REQUIRE(pieces.size() == 3);
    CHECK(pieces[0].to_line() == "{\"stream\":\"stdout\",\"offset\":0,\"data\":\"onetwo\"}\n");
    CHECK(pieces[1].to_line() == "{\"stream\":\"stderr\",\"offset\":0,\"data\":\"oops\"}\n");
    CHECK(pieces[2].to_line() == "{\"stream\":\"stdout\",\"offset\":6,\"data\":\"three\"}\n");
    CHECK(live.take().empty());
}

TEST_CASE_FIXTURE(Fixture, "a character that arrives in two pieces is shown whole") {
    live.add(out, "a\xe2\x82");
    auto pieces = live.take();
    REQUIRE(pieces.size() == 1);
    CHECK(pieces[0].bytes == "a");
    live.add(err, "between");
    live.add(out,
             "\xac"
             "b\xc3");
    pieces = live.take();
    REQUIRE(pieces.size() == 2);
    CHECK(pieces[1].bytes ==
          "\xe2\x82\xac"
          "b");
    CHECK(pieces[1].offset == 1);
    live.end();
    pieces = live.take();
    REQUIRE(pieces.size() == 1);
    CHECK(pieces[0].offset == 5);
    CHECK(pieces[0].to_line() ==
          "{\"stream\":\"stdout\",\"offset\":5,\"data\":\"\xef\xbf\xbd\",\"data_b64\":\"ww==\"}\n");
}

TEST_CASE_FIXTURE(Fixture, "a character split between two pieces of one take stays whole") {
    live.add(out, "\xe2");
    live.add(err, "x");
    live.add(out, "\x82\xac");
    const auto pieces = live.take();
    REQUIRE(pieces.size() == 2);
    CHECK(pieces[1].bytes == "\xe2\x82\xac");
    CHECK(pieces[1].offset == 0);
}

TEST_CASE_FIXTURE(Fixture, "of what nobody takes in time the end is kept, and the rest counted") {
    std::string chunk(16'384, 'x');
    for (int i = 0; i < 999; ++i) live.add(out, chunk);
    chunk.back() = 'e';
    live.add(out, chunk);
    const auto pieces = live.take();
    std::uint64_t kept = 0;
    std::uint64_t skipped = 0;
    std::uint64_t next = 0;
    for (const auto& piece : pieces) {
        CHECK(piece.offset == next);
        next += piece.bytes.size() + piece.skipped;
        kept += piece.bytes.size();
        skipped += piece.skipped;
    }
    CHECK(pieces.back().bytes.back() == 'e');
    CHECK(kept <= 256 * 1024);
    CHECK(kept > 128 * 1024);
    CHECK(kept + skipped == 1000 * chunk.size());
    live.add(out, "again");
    const auto later = live.take();
    REQUIRE(later.size() == 1);
    CHECK(later[0].offset == 1000 * chunk.size());
}

TEST_CASE_FIXTURE(Fixture, "streams that take turns byte by byte cost no more memory") {
    for (int i = 0; i < 100'000; ++i) {
        live.add(out, "o");
        live.add(err, "e");
    }
    const auto pieces = live.take();
    CHECK(pieces.size() * sizeof(OutputPiece) <= 256 * 1024 + 2 * sizeof(OutputPiece));
    std::uint64_t total = 0;
    for (const auto& piece : pieces) total += piece.bytes.size() + piece.skipped;
    CHECK(total == 200'000);
    REQUIRE(pieces.size() > 2);
    CHECK((pieces[0].skipped > 0 && pieces[0].stream == out && pieces[0].offset == 0));
    CHECK((pieces[1].skipped > 0 && pieces[1].stream == err && pieces[1].offset == 0));
    CHECK(live.take().empty());
}

TEST_CASE_FIXTURE(Fixture, "waiting ends with output, with the end, or with the time") {
    CHECK_FALSE(wait(1ms));
    live.add(out, "x");
    CHECK(wait(1h));
    live.take();
    asio::post(io, [&] { live.add(err, "y"); });
    CHECK(wait(1h));
    live.take();
    asio::post(io, [&] { live.end(); });
    CHECK(wait(1h));
    CHECK(live.ended());
}
