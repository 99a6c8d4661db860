#include "core/serial.h"

#include <doctest/doctest.h>

#include <string>

using namespace ctrlexec;

TEST_CASE("serials get the form old peers compare: lower case, even, no superfluous zeros") {
    const struct {
        std::string_view given;
        std::string_view normal;
    } rows[] = {
        {"02", "02"},       {"2", "02"},
        {"0002", "02"},     {"002", "02"},
        {"a", "0a"},        {"0A", "0a"},
        {"FFEE", "ffee"},   {"ffee", "ffee"},
        {"00ffee", "ffee"}, {"fffee", "0fffee"},
        {"0", "00"},        {"00", "00"},
        {"0000", "00"},     {"DeadBeef", "deadbeef"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.given);
        CHECK(normalize_serial(row.given) == std::string(row.normal));
    }
}

TEST_CASE("a serial is hexadecimal digits and nothing else") {
    using namespace std::string_view_literals;
    for (const std::string_view text :
         {""sv, "0x02"sv, "02\n"sv, " 02"sv, "02 "sv, "-02"sv, "+2"sv, "de:ad"sv, "g0"sv, "serial=02"sv,
          "02\0"sv, "\0"sv, "\xc3\xa9"sv, "0xg"sv}) {
        CAPTURE(text);
        CHECK_FALSE(normalize_serial(text));
    }
}

TEST_CASE("a serial has at most 20 octets, leading zeros not counted") {
    CHECK(normalize_serial(std::string(40, 'f')) == std::string(40, 'f'));
    CHECK(normalize_serial("0000" + std::string(40, 'F')) == std::string(40, 'f'));
    CHECK(normalize_serial(std::string(39, '7')) == "0" + std::string(39, '7'));
    CHECK_FALSE(normalize_serial(std::string(41, 'f')));
    CHECK_FALSE(normalize_serial("1" + std::string(40, '0')));
}

TEST_CASE("normalising twice changes nothing") {
    for (const std::string_view text : {"2", "00ab", "ABC", "0"}) {
        const auto once = normalize_serial(text);
        REQUIRE(once);
        CHECK(normalize_serial(*once) == once);
    }
}
