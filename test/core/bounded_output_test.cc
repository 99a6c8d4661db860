#include "core/bounded_output.h"

#include <doctest/doctest.h>

#include <random>

#include "core/utf8.h"

using namespace ctrlexec;

namespace {

std::string marker(std::uint64_t bytes) {
    return "\n[ctrl-exec: " + std::to_string(bytes) + " bytes left out]\n";
}

}  // namespace

TEST_CASE("output up to the limit is kept whole") {
    BoundedOutput output(10);
    output.add("01234");
    output.add("56789");
    CHECK(output.total() == 10);
    CHECK_FALSE(output.truncated());
    CHECK(output.take() == "0123456789");
}

TEST_CASE("past the limit the first and the last half stay") {
    BoundedOutput output(10);
    output.add("0123456789ABC");
    CHECK(output.total() == 13);
    CHECK(output.truncated());
    CHECK(output.take() == "01234" + marker(3) + "89ABC");
}

TEST_CASE("with a limit of nothing all is counted and nothing kept") {
    BoundedOutput output(0);
    output.add("abc");
    CHECK(output.total() == 3);
    CHECK(output.truncated());
    CHECK(output.take() == marker(3));
}

TEST_CASE("what take() has taken is gone") {
    BoundedOutput output(4);
    output.add("0123456789");
    output.take();
    CHECK(output.total() == 0);
    output.add("ab");
    CHECK(output.take() == "ab");
}

TEST_CASE("how the output was cut up when it came changes nothing") {
    std::mt19937 random(7);
    for (int round = 0; round < 300; ++round) {
        const std::size_t limit = random() % 40;
        std::string all;
        for (std::size_t i = random() % 200; i > 0; --i) all += static_cast<char>('a' + random() % 26);
        BoundedOutput output(limit);
        for (std::size_t at = 0; at < all.size();) {
            const std::size_t count = std::min<std::size_t>(all.size() - at, random() % 60);
            output.add(std::string_view(all).substr(at, count));
            at += count;
        }
        std::string expected = all;
        if (all.size() > limit) {
            expected = all.substr(0, limit - limit / 2) + marker(all.size() - limit) +
                       all.substr(all.size() - limit / 2);
        }
        CHECK(output.total() == all.size());
        CHECK(output.take() == expected);
    }
}

TEST_CASE("a character that the cut splits is left out, so that text stays text") {
    std::string text;
    for (int i = 0; i < 40; ++i) text += "\xe2\x82\xac";  // a euro sign
    for (std::size_t limit = 2; limit < 30; ++limit) {
        BoundedOutput output(limit);
        output.add(text);
        const std::string kept = output.take();
        CHECK(is_utf8(kept));
        CHECK(kept.find("[ctrl-exec: ") != std::string::npos);
    }
    CHECK(join_output("ab\xe2\x82",
                      "\x82\xac"
                      "cd",
                      7) == "ab" + marker(11) + "cd");
}

TEST_CASE("only a sequence whose rest is missing counts as incomplete") {
    CHECK(incomplete_at_end("") == 0);
    CHECK(incomplete_at_end("abc") == 0);
    CHECK(incomplete_at_end("a\xc3") == 1);
    CHECK(incomplete_at_end("a\xc3\xa4") == 0);
    CHECK(incomplete_at_end("a\xe2\x82") == 2);
    CHECK(incomplete_at_end("a\xf0\x9f\x98") == 3);
    CHECK(incomplete_at_end("\x80\x80\x80\x80") == 0);
}
