#include "core/utf8.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>

using namespace ctrlexec;
using namespace std::string_view_literals;

namespace {

std::string encode(unsigned c) {
    const auto byte = [](unsigned value) { return static_cast<char>(static_cast<unsigned char>(value)); };
    if (c < 0x80) return {byte(c)};
    if (c < 0x800) return {byte(0xc0 | c >> 6), byte(0x80 | (c & 63))};
    if (c < 0x10000) return {byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 63)), byte(0x80 | (c & 63))};
    return {byte(0xf0 | c >> 18), byte(0x80 | (c >> 12 & 63)), byte(0x80 | (c >> 6 & 63)),
            byte(0x80 | (c & 63))};
}

}  // namespace

TEST_CASE("every code point except the surrogates is UTF-8, and none above U+10FFFF") {
    int wrong = 0;
    for (unsigned c = 0; c < 0x200000; ++c) {
        const bool valid = c < 0xd800 || (c > 0xdfff && c <= 0x10ffff);
        const std::string text = encode(c);
        wrong += utf8_sequence(text) != (valid ? text.size() : 0) || is_utf8(text) != valid;
    }
    CHECK(wrong == 0);
}

TEST_CASE("exactly the well-formed sequences of each length are accepted") {
    int pairs = 0;
    int triples = 0;
    for (unsigned first = 0x80; first < 0x100; ++first) {
        for (unsigned second = 0; second < 0x100; ++second) {
            std::string text{static_cast<char>(first), static_cast<char>(second), '\0'};
            pairs += utf8_sequence(text) == 2;
            if (first < 0xe0 || first > 0xef) continue;
            for (unsigned third = 0; third < 0x100; ++third) {
                text[2] = static_cast<char>(third);
                triples += utf8_sequence(text) == 3;
            }
        }
    }
    CHECK(pairs == 0x800 - 0x80);
    CHECK(triples == 0x10000 - 0x800 - 0x800);
}

TEST_CASE("malformed UTF-8 is recognised and replaced byte by byte") {
    struct Row {
        std::string_view bytes, replaced;
    };
    const Row rows[] = {
        {"a\x80z", "a\ufffdz"},
        {"\xff\xfe", "\ufffd\ufffd"},
        {"\xc0\xaf", "\ufffd\ufffd"},  // overlong "/"
        {"\xe0\x80\xaf", "\ufffd\ufffd\ufffd"},
        {"\xf0\x80\x80\xaf", "\ufffd\ufffd\ufffd\ufffd"},
        {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},  // a surrogate
        {"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},
        {"\xf8\x88\x80\x80\x80", "\ufffd\ufffd\ufffd\ufffd\ufffd"},
        {"\xe2\x82", "\ufffd\ufffd"},  // cut at the end
        {"\xe2\x82z", "\ufffd\ufffdz"},
        {"\xf0\x9f\x98\xf0\x9f\x98\x80", "\ufffd\ufffd\ufffd😀"},
        {"\xc3\xc3\xa9", "\ufffdé"},
    };
    for (const auto& row : rows) {
        CHECK_FALSE(is_utf8(row.bytes));
        CHECK(to_utf8(row.bytes) == row.replaced);
    }
}

TEST_CASE("valid text is not changed") {
    for (const auto text : {""sv, "plain"sv, "a\0b"sv, "é€😀\u2028\ufffd\U0010ffff"sv, "\x7f\r\n\t"sv}) {
        CHECK(is_utf8(text));
        CHECK(to_utf8(text) == text);
    }
    CHECK(utf8_sequence("") == 0);
}

TEST_CASE("random bytes always become valid text") {
    std::mt19937 random(11);
    for (int i = 0; i < 5000; ++i) {
        std::string bytes(random() % 40, '\0');
        for (char& c : bytes)
            c = static_cast<char>(random() % 4 == 0 ? random() % 0x80 : 0x80 + random() % 0x80);
        REQUIRE(is_utf8(to_utf8(bytes)));
        REQUIRE(is_utf8(printable(bytes)));
    }
}

TEST_CASE("printable text holds no control character and no broken sequence") {
    struct Row {
        std::string_view text, printed;
    };
    const Row rows[] = {
        {"", ""},
        {"plain é😀 text", "plain é😀 text"},
        {"a\nb\r\tc", "a\\x0ab\\x0d\\x09c"},
        {"\x1b[2J\x07", "\\x1b[2J\\x07"},
        {"a\0b"sv, "a\\x00b"},
        {"\x7f", "\\x7f"},
        {"\u0085\u009b\u0080", "\\x85\\x9b\\x80"},  // C1: NEL, CSI
        {"\u00a0", "\u00a0"},
        {"\x9b\xff", "\\x9b\\xff"},
        {"\xc2", "\\xc2"},
        {"\xe2\x82x", "\\xe2\\x82x"},
    };
    for (const auto& row : rows) CHECK(printable(row.text) == row.printed);
    for (unsigned c = 0; c < 0x20; ++c) CHECK(printable(encode(c)).size() == 4);
}
