#include "core/ring_file.h"

#include <sys/resource.h>

#include <csignal>
#include <random>
#include <thread>

#include "core/bounded_output.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using ctrlexec::testing::TempDir;

namespace {

RingWriter make(const std::string& path, std::size_t limit) {
    auto writer = RingWriter::create(path, limit);
    REQUIRE(writer);
    return std::move(*writer);
}

RingReader read(const std::string& path) {
    auto reader = RingReader::open(path);
    REQUIRE_MESSAGE(reader, (reader ? "" : reader.error().text()));
    return std::move(*reader);
}

RingReader::Kept kept(const std::string& path) {
    auto all = read(path).kept();
    REQUIRE(all);
    return std::move(*all);
}

// The byte of the stream at that place, so that a reader can tell where what it got comes from.
char byte_at(std::uint64_t offset) {
    return static_cast<char>('!' + (offset * 7 + offset / 89) % 90);
}

std::string stream(std::uint64_t from, std::uint64_t to) {
    std::string text;
    for (; from < to; ++from) text += byte_at(from);
    return text;
}

}  // namespace

TEST_CASE("what fits into a ring file is kept whole") {
    const TempDir dir;
    auto writer = make(dir / "out", 10);
    REQUIRE(writer.add("01234"));
    REQUIRE(writer.add("56789"));
    const auto all = kept(dir / "out");
    CHECK(all.text == "0123456789");
    CHECK(all.total == 10);
    CHECK_FALSE(all.truncated);
    CHECK(dir.mode("out") == 0600);
}

TEST_CASE("a ring file keeps what BoundedOutput keeps, whatever comes in what pieces") {
    std::mt19937 random(7);
    for (std::size_t limit : {2u, 3u, 10u, 1000u, 70'000u, 300'000u}) {
        const TempDir dir;
        auto writer = make(dir / "out", limit);
        BoundedOutput expected(limit);
        for (int i = 0; i < 40; ++i) {
            const std::string piece = stream(writer.total(), writer.total() + random() % limit);
            REQUIRE(writer.add(piece));
            expected.add(piece);
            CHECK(kept(dir / "out").total == expected.total());
        }
        CAPTURE(limit);
        CHECK(kept(dir / "out").truncated == expected.truncated());
        CHECK(kept(dir / "out").text == expected.take());
        CHECK(std::filesystem::file_size(dir / "out") <= sizeof(RingHeader) + limit);
    }
}

TEST_CASE("a reader gets any part that is still there, and is told where it begins") {
    const TempDir dir;
    auto writer = make(dir / "out", 100);  // the first 50, the last 50
    REQUIRE(writer.add(stream(0, 170)));
    const RingReader reader = read(dir / "out");
    struct Row {
        std::uint64_t from;
        std::size_t most;
        std::uint64_t begins;
        std::uint64_t ends;
    };
    for (const Row& row : {Row{0, 10, 0, 10}, Row{0, 1000, 0, 50}, Row{49, 10, 49, 50}, Row{50, 10, 120, 130},
                           Row{119, 2, 120, 122}, Row{120, 1000, 120, 150}, Row{150, 1000, 150, 170},
                           Row{169, 5, 169, 170}, Row{170, 5, 170, 170}, Row{5000, 5, 5000, 5000}}) {
        CAPTURE(row.from);
        const auto part = reader.read(row.from, row.most);
        REQUIRE(part);
        CHECK(part->offset == row.begins);
        CHECK(part->bytes == stream(row.begins, row.ends));
    }
}

TEST_CASE("a reader never gets bytes of another place while the writer goes on") {
    const TempDir dir;
    auto writer = make(dir / "out", 8192);
    constexpr std::uint64_t all = 8'000'000;
    std::thread writing([&writer] {
        for (std::uint64_t at = 0; at < all; at += 1000) (void)writer.add(stream(at, at + 1000));
    });
    const RingReader reader = read(dir / "out");
    std::uint64_t at = 0;
    bool right = true;
    while (at < all && right) {
        const auto part = reader.read(at, 5000);
        right = part && part->offset >= at &&
                part->bytes == stream(part->offset, part->offset + part->bytes.size());
        if (right) at = part->offset + part->bytes.size();
    }
    writing.join();
    CHECK(right);
}

TEST_CASE("when the disk is full bytes are counted, what is stored has no gap, and it fails once") {
    const TempDir dir;
    const int status = ctrlexec::testing::in_process([&dir] {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit small{sizeof(RingHeader) + 300, sizeof(RingHeader) + 300};
        ::setrlimit(RLIMIT_FSIZE, &small);
        auto writer = RingWriter::create(dir / "out", 1000);
        if (!writer || !writer->add(stream(0, 250))) return 1;
        if (writer->add(stream(250, 400))) return 2;
        if (!writer->add(stream(400, 500))) return 3;
        return writer->total() == 500 ? 0 : 4;
    });
    REQUIRE(status == 0);
    const auto all = kept(dir / "out");
    CHECK(all.total == 500);
    CHECK(all.truncated);
    CHECK(all.text == join_output(stream(0, 250), "", 250));
}

TEST_CASE("what is no ring file is refused, and one that was cut short has less in it") {
    const TempDir dir;
    dir.put("begun", "");  // the writer has not come further yet
    CHECK(RingReader::open(dir / "begun").error().code == Errc::busy);
    for (const char* text : {"x", "cering1\n", "cering1\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}) {
        dir.put("bad", text);
        CHECK_FALSE(RingReader::open(dir / "bad"));
    }
    CHECK_FALSE(RingReader::open(dir.directory("folder")));
    CHECK_FALSE(RingReader::open(dir.link("link", "/dev/zero")));
    CHECK_FALSE(RingReader::open(dir / "missing"));
    auto writer = make(dir / "out", 100);
    REQUIRE(writer.add(stream(0, 250)));
    const std::string whole = dir.content("out");
    for (std::size_t size = sizeof(RingHeader); size < whole.size(); ++size) {
        dir.put("cut", whole.substr(0, size));
        const auto all = kept(dir / "cut");
        CHECK(all.total == 250);
        CHECK(all.text.starts_with(stream(0, std::min<std::size_t>(50, size - sizeof(RingHeader)))));
    }
}
