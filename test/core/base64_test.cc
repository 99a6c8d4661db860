#include "core/base64.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>

using namespace ctrlexec;
using namespace std::string_view_literals;

TEST_CASE("base64 follows the vectors of RFC 4648") {
    struct Row {
        std::string_view bytes, text;
    };
    const Row rows[] = {{"", ""},
                        {"f", "Zg=="},
                        {"fo", "Zm8="},
                        {"foo", "Zm9v"},
                        {"foob", "Zm9vYg=="},
                        {"fooba", "Zm9vYmE="},
                        {"foobar", "Zm9vYmFy"},
                        {"\0"sv, "AA=="},
                        {"\xfb\xff\xbf", "+/+/"}};
    for (const auto& row : rows) {
        CHECK(base64(row.bytes) == row.text);
        CHECK(from_base64(row.text) == row.bytes);
    }
}

TEST_CASE("bytes of every length come back exactly") {
    std::mt19937 random(3);
    for (std::size_t size = 0; size < 400; ++size) {
        std::string bytes(size, '\0');
        for (char& c : bytes) c = static_cast<char>(random());
        const std::string text = base64(bytes);
        REQUIRE(text.size() == (size + 2) / 3 * 4);
        REQUIRE(from_base64(text) == bytes);
    }
}

TEST_CASE("text that is not strict base64 is refused") {
    for (const auto text :
         {"A"sv,        "AA"sv,       "AAA"sv,   "AA="sv,      "A==="sv,  "===="sv,    "="sv,
          "AAAAA"sv,    "AA==AA=="sv, "AA=A"sv,  "AA== "sv,    " AA=="sv, "AA==\n"sv,  "A A="sv,
          "Zm9v\r\n"sv, "A-_A"sv,     "AAA\0"sv, "\0\0\0\0"sv, "AAé="sv,  "AAA\xff"sv, "%41A="sv}) {
        CHECK_MESSAGE(!from_base64(text), text);
    }
}
