#include "core/json.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <string_view>

using namespace ctrlexec;
using json::Value;

namespace {

constexpr std::size_t one_mib = 1u << 20;

Value parsed(std::string_view text) {
    auto value = json::parse(text, one_mib);
    REQUIRE_MESSAGE(value, text);
    return std::move(*value);
}

double number(const Value& value) {
    if (const auto* integer = value.if_integer()) return static_cast<double>(*integer);
    if (const auto* large = value.if_unsigned()) return static_cast<double>(*large);
    REQUIRE(value.if_double() != nullptr);
    return *value.if_double();
}

bool is_number(const Value& value) {
    return value.if_integer() != nullptr || value.if_unsigned() != nullptr || value.if_double() != nullptr;
}

// 1.0 is written as "1": JSON has one kind of number.
bool same(const Value& a, const Value& b) {
    if (a.if_integer() != nullptr && b.if_integer() != nullptr) return *a.if_integer() == *b.if_integer();
    if (a.if_unsigned() != nullptr && b.if_unsigned() != nullptr) return *a.if_unsigned() == *b.if_unsigned();
    if (is_number(a) && is_number(b)) return number(a) == number(b);
    if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
    if (a.if_bool() != nullptr) return b.if_bool() != nullptr && *a.if_bool() == *b.if_bool();
    if (a.if_string() != nullptr) return b.if_string() != nullptr && *a.if_string() == *b.if_string();
    if (const auto* array = a.if_array()) {
        const auto* other = b.if_array();
        if (other == nullptr || other->size() != array->size()) return false;
        for (std::size_t i = 0; i < array->size(); ++i) {
            if (!same((*array)[i], (*other)[i])) return false;
        }
        return true;
    }
    const auto* object = a.if_object();
    const auto* other = b.if_object();
    if (object == nullptr || other == nullptr || object->size() != other->size()) return false;
    for (std::size_t i = 0; i < object->size(); ++i) {
        if ((*object)[i].key != (*other)[i].key || !same((*object)[i].value, (*other)[i].value)) return false;
    }
    return true;
}

class Generator {
  public:
    explicit Generator(std::uint64_t seed) : random_(seed) {}

    Value value(int depth) {
        switch (below(depth > 0 ? 9 : 7)) {
            case 0:
                return {};
            case 1:
                return below(2) == 0;
            case 2:
                return static_cast<std::int64_t>(random_());
            case 3:
                return static_cast<int>(below(1000)) - 500;
            case 4:
                return real();
            case 5:
                return text();
            case 6:
                return array(depth);
            default:
                return object(depth);
        }
    }

  private:
    std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

    double real() {
        for (;;) {
            const std::uint64_t bits = random_();
            double number = 0;
            std::memcpy(&number, &bits, sizeof number);
            if (std::isfinite(number)) return number;
        }
    }

    // Mostly what a writer must escape or a reader could cut: controls, quotes, NUL, all lengths of UTF-8.
    std::string text() {
        static constexpr std::string_view parts[] = {"a",
                                                     "\"",
                                                     "\\",
                                                     "/",
                                                     std::string_view("\0", 1),
                                                     "\n",
                                                     "\r",
                                                     "\t",
                                                     "\b",
                                                     "\x1b[31m",
                                                     "\x7f",
                                                     "\xc2\x85",
                                                     "\xc3\xa9",
                                                     "\xe2\x80\xa8",
                                                     "\\u0000",
                                                     "\xef\xbf\xbf",
                                                     "\xf0\x9f\x98\x80",
                                                     "\xf4\x8f\xbf\xbf",
                                                     "</script>"};
        std::string text;
        for (std::uint64_t n = below(12); n > 0; --n) text += parts[below(std::size(parts))];
        return text;
    }

    Value array(int depth) {
        json::Array array;
        for (std::uint64_t n = below(5); n > 0; --n) array.push_back(value(depth - 1));
        return array;
    }

    Value object(int depth) {
        json::Object object;
        for (std::uint64_t n = below(5); n > 0; --n) {
            object.push_back({text() + std::to_string(n), value(depth - 1)});
        }
        return object;
    }

    std::mt19937_64 random_;
};

}  // namespace

TEST_CASE("each kind of JSON value is read as that kind and no other") {
    CHECK(parsed("null").is_null());
    CHECK(*parsed("true").if_bool());
    CHECK_FALSE(*parsed(" \t\r\nfalse\n").if_bool());
    CHECK(*parsed("-7").if_integer() == -7);
    CHECK(*parsed("0.5").if_double() == 0.5);
    CHECK(*parsed("\"x\"").if_string() == "x");
    CHECK(parsed("[1,[]]").if_array()->size() == 2);
    CHECK(parsed("{\"a\":{}}").if_object()->size() == 1);
    const Value zero = parsed("0");
    CHECK_FALSE(zero.is_null());
    CHECK(zero.if_bool() == nullptr);
    CHECK(zero.if_double() == nullptr);
    CHECK(zero.if_string() == nullptr);
    CHECK(zero.if_array() == nullptr);
    CHECK(zero.if_object() == nullptr);
}

TEST_CASE("escapes are decoded, NUL and astral characters included") {
    const Value value = parsed(R"("\"\\\/\b\f\n\r\t\u0000\u00e9\u20ac\ud83d\ude00\u007f")");
    CHECK(*value.if_string() == std::string("\"\\/\b\f\n\r\t\0é€😀\x7f", 19));
}

TEST_CASE("the writer emits compact ASCII-safe escapes") {
    struct Row {
        Value value;
        std::string_view text;
    };
    const Row rows[] = {
        {Value(), "null"},
        {true, "true"},
        {false, "false"},
        {std::numeric_limits<std::int64_t>::min(), "-9223372036854775808"},
        {std::numeric_limits<std::int64_t>::max(), "9223372036854775807"},
        {std::numeric_limits<std::uint64_t>::max(), "18446744073709551615"},
        {1.5, "1.5"},
        {1.0, "1"},
        {std::nan(""), "null"},
        {std::numeric_limits<double>::infinity(), "null"},
        {-std::numeric_limits<double>::infinity(), "null"},
        {"", "\"\""},
        {"a\"b\\c/", R"("a\"b\\c/")"},
        {"\n\r\t\b\x1f\x7f", R"("\n\r\t\u0008\u001f\u007f")"},
        {std::string("a\0b", 3), R"("a\u0000b")"},
        {"é😀", "\"é😀\""},
        {json::Array{}, "[]"},
        {json::Array{1, "2", Value()}, R"([1,"2",null])"},
        {json::Object{}, "{}"},
        {json::Object{{"z", 1}, {"a\n", json::Object{}}}, R"({"z":1,"a\n":{}})"},
    };
    for (const auto& row : rows) CHECK(json::dump(row.value) == row.text);
}

TEST_CASE("what must be escaped is, wherever it stands among plain text") {
    for (int byte = 0; byte < 0x100; ++byte) {
        const std::string special(1, static_cast<char>(byte));
        const std::string alone = json::dump(special);
        const std::string escaped = alone.substr(1, alone.size() - 2);
        CHECK_MESSAGE(json::dump("ab" + special + "cd" + special) == "\"ab" + escaped + "cd" + escaped + "\"",
                      byte);
    }
}

TEST_CASE("bytes that are not UTF-8 never make the written text invalid") {
    const std::string_view texts[] = {"\xff",         "a\x80z",   "\xed\xa0\x80", "\xc3",
                                      "\xf0\x9f\x98", "\xc0\xaf", "\xe2\x82\""};
    for (const auto text : texts) {
        const std::string written = json::dump(json::Object{{std::string(text), text}});
        CHECK_MESSAGE(json::parse(written, one_mib), written);
        CHECK(written.find("\xef\xbf\xbd") != std::string::npos);
    }
}

TEST_CASE("what is written reads back as the same value") {
    Generator generator(20260306);
    for (int i = 0; i < 3000; ++i) {
        const Value value = generator.value(5);
        const std::string text = json::dump(value);
        const auto again = json::parse(text, one_mib);
        REQUIRE_MESSAGE(again, text);
        REQUIRE_MESSAGE(same(value, *again), text);
        REQUIRE(text.find('\n') == std::string::npos);
    }
}

TEST_CASE("members keep the order of the document") {
    CHECK(json::dump(parsed(R"({"z":1,"a":2,"m":3,"":4})")) == R"({"z":1,"a":2,"m":3,"":4})");
}

TEST_CASE("a member is found by its exact name only") {
    const Value value = parsed(R"({"a":1,"A":2,"a\u0000":3,"":4})");
    CHECK(*value.find("a")->if_integer() == 1);
    CHECK(*value.find("A")->if_integer() == 2);
    CHECK(*value.find(std::string_view("a\0", 2))->if_integer() == 3);
    CHECK(*value.find("")->if_integer() == 4);
    CHECK(value.find("b") == nullptr);
    for (const auto* text : {"null", "[1]", "\"a\"", "1"}) {
        CHECK(parsed(text).find("a") == nullptr);
        CHECK(parsed(text).text("a").empty());
        CHECK(parsed(text).scalar("a").empty());
    }
}

TEST_CASE("text() takes strings only, scalar() prints as Perl does") {
    const Value value = parsed(
        R"({"s":"x","t":true,"f":false,"n":null,"i":-3,"d":0.1,"e":1e20,"w":2.0,"u":18446744073709551615,"a":[1],"o":{"x":1}})");
    struct Row {
        std::string_view key, text, scalar;
    };
    const Row rows[] = {{"s", "x", "x"},    {"t", "", "1"},  {"f", "", "0"},
                        {"n", "", ""},      {"i", "", "-3"}, {"d", "", "0.1"},
                        {"e", "", "1e+20"}, {"w", "", "2"},  {"u", "", "18446744073709551615"},
                        {"a", "", ""},      {"o", "", ""},   {"missing", "", ""}};
    for (const auto& row : rows) {
        CHECK_MESSAGE(value.text(row.key) == row.text, row.key);
        CHECK_MESSAGE(value.scalar(row.key) == row.scalar, row.key);
    }
}

TEST_CASE("set replaces a member in its place and appends a new one") {
    Value value = parsed(R"({"a":1,"b":2})");
    value.set("a", "one");
    value.set("c", json::Array{});
    CHECK(json::dump(value) == R"({"a":"one","b":2,"c":[]})");
}

TEST_CASE("negative zero stays a floating-point number") {
    const auto value = ctrlexec::json::parse("-0.0", 100);
    REQUIRE(value);
    CHECK(ctrlexec::json::dump(*value) == "-0.0");
}
