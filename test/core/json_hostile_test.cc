#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

using namespace ctrlexec;
using namespace std::string_view_literals;

namespace {

constexpr std::size_t one_mib = 1u << 20;

// In memory of exactly its size, so that reading past the end is seen by the sanitizer.
Result<json::Value> parse_exactly(std::string_view text, std::size_t limit = one_mib) {
    const auto copy = std::make_unique<char[]>(text.size());
    text.copy(copy.get(), text.size());
    return json::parse({copy.get(), text.size()}, limit);
}

void refused(std::string_view text) {
    const auto value = parse_exactly(text);
    REQUIRE_MESSAGE(!value, text.substr(0, 100));
    CHECK_MESSAGE(value.error().code == Errc::bad_request, text.substr(0, 100));
    CHECK_MESSAGE(value.error().message == "invalid JSON", text.substr(0, 100));
}

void accepted(std::string_view text) {
    const auto value = parse_exactly(text);
    CHECK_MESSAGE(value, text.substr(0, 100));
}

std::string nested(std::string_view open, std::string_view core, std::string_view close, int depth) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += open;
    text += core;
    for (int i = 0; i < depth; ++i) text += close;
    return text;
}

std::string repeated(std::string_view part, std::size_t times) {
    std::string text;
    text.reserve(part.size() * times);
    for (std::size_t i = 0; i < times; ++i) text += part;
    return text;
}

}  // namespace

TEST_CASE("text that RFC 8259 does not allow is refused") {
    const std::string_view texts[] = {
        "",
        " ",
        "\n",
        "{",
        "}",
        "[",
        "]",
        "{]",
        "[}",
        "[1}",
        "[1,]",
        "[,1]",
        "[,]",
        "[1 2]",
        "[1,,2]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{:1}",
        "{a:1}",
        "{'a':1}",
        "{1:2}",
        "{null:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1;\"b\":2}",
        "'a'",
        "tru",
        "truee",
        "True",
        "TRUE",
        "nul",
        "nulll",
        "none",
        "undefined",
        "NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "-inf",
        "// c\n1",
        "1 // c",
        "/* c */1",
        "#1",
        "\v1",
        "\f1",
        "\xc2\xa0"
        "1",
        "1\xe2\x80\xa8",
        "\xef\xbb",
        "\xff\xfe[\0]\0"sv,
    };
    for (const auto text : texts) refused(text);
}

TEST_CASE("a number is refused unless it is written as RFC 8259 wants") {
    const std::string_view texts[] = {
        "-",   "+1",   "--1",  "01",    "-01",   "00",  "1.", ".5", "-.5",      "1.e1", "1e",    "1e+",
        "1E-", "1ee1", "0x10", "1_000", "1.2.3", "0b1", "1f", "1L", "\xd9\xa1", "- 1",  "1e1.5",
    };
    for (const auto text : texts) {
        refused(text);
        refused("[" + std::string(text) + "]");
    }
}

TEST_CASE("numbers beyond 64 bits are refused, never wrapped or cut") {
    CHECK(*parse_exactly("9223372036854775807")->if_integer() == INT64_MAX);
    CHECK(*parse_exactly("-9223372036854775808")->if_integer() == INT64_MIN);
    CHECK(*parse_exactly("9223372036854775808")->if_unsigned() == 9223372036854775808u);
    CHECK(*parse_exactly("18446744073709551615")->if_unsigned() == UINT64_MAX);
    CHECK(*parse_exactly("1e308")->if_double() == 1e308);
    CHECK(*parse_exactly("1e-400")->if_double() == 0);
    CHECK(*parse_exactly("-1e-400")->if_double() == 0);
    for (const auto text : {"18446744073709551616"sv, "-9223372036854775809"sv, "99999999999999999999999"sv,
                            "1e309"sv, "-1e309"sv, "1e99999999999999999999"sv}) {
        refused(text);
    }
    refused(std::string(400, '9'));
    refused(std::string(100'000, '9'));
    accepted("0." + std::string(100'000, '0') + "1");
}

TEST_CASE("a string is refused unless its escapes and characters are complete") {
    const std::string_view texts[] = {
        "\"",         "\"a",         "a\"",         "\"\\\"",      "\"\\",
        "\"\\x41\"",  "\"\\a\"",     "\"\\'\"",     "\"\\0\"",     "\"\\u\"",
        "\"\\u12\"",  "\"\\u123\"",  "\"\\u00g0\"", "\"\\u+123\"", "\"\\U00000041\"",
        "\"a\nb\"",   "\"a\rb\"",    "\"a\tb\"",    "\"\x1b[0m\"", "\"\x01\"",
        "\"a\0b\""sv, "\"a\" \"b\"",
    };
    for (const auto text : texts) refused(text);
}

TEST_CASE("lone surrogates are refused in every position") {
    for (const auto escapes :
         {"\\ud800", "\\udbff", "\\udc00", "\\udfff", "\\ud800\\ud800", "\\udc00\\ud800", "\\ud800x",
          "\\ud800\\n", "\\ud800\\u0041", "\\ud83d\\u", "\\ud83d\\ude0", "x\\ud83d"}) {
        refused("\"" + std::string(escapes) + "\"");
        refused("{\"" + std::string(escapes) + "\":1}");
    }
    CHECK(*parse_exactly("\"\\uD83D\\uDE00\"")->if_string() == "😀");
}

TEST_CASE("invalid UTF-8 is refused in strings, keys and between values") {
    for (const auto bytes :
         {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe2\x82",
          "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
          "\xf5\x80\x80\x80", "\xf0\x9f\x98", "\xfe", "\xff"}) {
        const std::string text = bytes;
        refused("\"" + text + "\"");
        refused("\"" + text);
        refused("{\"" + text + "\":1}");
        refused("[1" + text + "]");
        refused(repeated("[\"padding\",", 20) + "\"" + text + "\"" + std::string(20, ']'));
    }
}

TEST_CASE("nothing may follow the value") {
    for (const auto tail :
         {"1"sv, "x"sv, "]"sv, "}"sv, ","sv, "\0"sv, " \0 "sv, "{}"sv, "null"sv, "\x1a"sv, "\""sv, "\\"sv}) {
        for (const auto* text : {"{}", "[]", "{\"a\":1} ", "\"a\""}) refused(text + std::string(tail));
    }
    accepted("{} \t\r\n ");
}

TEST_CASE("32 levels of nesting are read, 33 are refused") {
    accepted(nested("[", "", "]", 32));
    refused(nested("[", "", "]", 33));
    accepted(nested("[", "1", "]", 32));
    refused(nested("[", "1", "]", 33));
    accepted(nested("{\"a\":", "1", "}", 32));
    refused(nested("{\"a\":", "1", "}", 33));
    accepted(nested("[{\"a\":", "1", "}]", 16));
    refused(nested("[{\"a\":", "[]", "}]", 16));
    accepted("[" + repeated(nested("[", "", "]", 31) + ",", 50) + "1]");
}

TEST_CASE("a megabyte of brackets does not exhaust the stack") {
    refused(std::string(one_mib, '['));
    refused(repeated("{\"a\":", one_mib / 5));
    refused(repeated("[{\"\":", one_mib / 5));
}

TEST_CASE("the same key twice in one object is refused, however it is written") {
    for (const auto text :
         {R"({"a":1,"a":1})", R"({"a":1,"b":2,"a":3})", R"({"a":1,"\u0061":2})", R"({"":1,"":2})",
          R"([{"x":{"k":1,"k":2}}])", R"({"\n":1,"\u000a":2})", R"({"é":1,"\u00e9":2})",
          R"({"😀":1,"\ud83d\ude00":2})", R"({"exit":1,"exit":0})"}) {
        refused(text);
    }
    for (const auto text : {R"({"a":1,"A":2})", R"({"a":{"a":{"a":1}}})", R"([{"a":1},{"a":1}])",
                            R"({"a":1,"a\u0000":2})", R"({"a":1,"a ":2})"}) {
        accepted(text);
    }
}

TEST_CASE("a text of the limit's size is read, one byte more is too large") {
    const std::string text = "[" + std::string(98, ' ') + "]";
    CHECK(parse_exactly(text, 100));
    const auto over = parse_exactly(text + " ", 100);
    REQUIRE_FALSE(over);
    CHECK(over.error().code == Errc::too_large);
    CHECK(parse_exactly("1", 1));
    CHECK(parse_exactly("", 0).error().code == Errc::bad_request);
    CHECK(parse_exactly("1", 0).error().code == Errc::too_large);
}

TEST_CASE("texts of a megabyte are read whole") {
    const auto numbers = parse_exactly("[" + repeated("1,", one_mib / 2 - 2) + "2]");
    REQUIRE(numbers);
    CHECK(numbers->if_array()->size() == one_mib / 2 - 1);
    const auto empties = parse_exactly("[" + repeated("[],", one_mib / 3 - 2) + "{}]");
    REQUIRE(empties);
    CHECK(empties->if_array()->size() == one_mib / 3 - 1);
    const auto string = parse_exactly("\"" + repeated("\\u0000", one_mib / 6 - 2) + "\"");
    REQUIRE(string);
    CHECK(*string->if_string() == std::string(one_mib / 6 - 2, '\0'));
}

TEST_CASE("an object of many members is checked for duplicates all the same") {
    std::string text = "{";
    for (int i = 0; i < 60'000; ++i) text += "\"k" + std::to_string(i) + "\":1,";
    accepted(text + "\"k\":1}");
    refused(text + "\"k31415\":1}");
}

TEST_CASE("damaged texts are refused or read, and what is read can be written and read again") {
    const std::string sound =
        R"({"script":"deploy","args":["a b","\u0000",null,true,-1.5e3,{"x":[[],{}]}],"reqid":"63b9006541c68492","é":"😀"})";
    accepted(sound);
    std::mt19937 random(7);
    int read = 0;
    for (int i = 0; i < 20'000; ++i) {
        std::string text = sound;
        for (auto n = 1 + random() % 3; n > 0 && !text.empty(); --n) {
            const std::size_t at = random() % text.size();
            switch (random() % 4) {
                case 0:
                    text[at] = static_cast<char>(random());
                    break;
                case 1:
                    text.erase(at, 1 + random() % 5);
                    break;
                case 2:
                    text.insert(at, 1, "{}[]\",:\\0e-"[random() % 11]);
                    break;
                default:
                    text.resize(at + 1);
                    break;
            }
        }
        const auto value = parse_exactly(text);
        if (!value) continue;
        ++read;
        REQUIRE_MESSAGE(parse_exactly(json::dump(*value)), text);
    }
    CHECK(read > 100);  // or the damage tests nothing but the refusal
}
