#include "core/serial_list.h"

#include <doctest/doctest.h>

using namespace ctrlexec;

TEST_CASE("every documented form of a revoked serial is read") {
    const struct {
        const char* line;
        const char* serial;
    } rows[] = {
        {"ffee", "ffee"},
        {"DE:AD:be:ef", "deadbeef"},
        {"0x0A", "0a"},
        {"serial=00FFEE", "ffee"},
        {"SERIAL=0a  # left the company", "0a"},
        {"  ab \r", "ab"},
        {"4294967296", "0100000000"},  // decimal: one above 32 bits
        {"1461501637330902918203684832716283019655932542975", "ffffffffffffffffffffffffffffffffffffffff"},
    };
    for (const auto& row : rows) {
        const SerialList list = SerialList::parse("revoked-serials", row.line);
        CHECK_MESSAGE(list.contains(row.serial), row.line);
        CHECK(list.warnings().empty());
    }
}

TEST_CASE("digits alone revoke both readings, a marked hex number only one") {
    const SerialList both = SerialList::parse("revoked-serials", "10\n");
    CHECK(both.contains("10"));
    CHECK(both.contains("0a"));
    for (const char* line : {"0x10", "00:10"}) {
        const SerialList one = SerialList::parse("revoked-serials", line);
        CHECK(one.contains("10"));
        CHECK_FALSE(one.contains("0a"));
    }
}

TEST_CASE("a line that is no serial is reported with file and line, and the others count") {
    const SerialList list =
        SerialList::parse("revoked-serials", "# comment\n\nbeef\nxyz\n0x\n" + std::string(500, '1'));
    CHECK(list.contains("beef"));
    CHECK(list.size() == 1);
    REQUIRE(list.warnings().size() == 3);
    CHECK(list.warnings()[0].find("revoked-serials:4: 'xyz'") == 0);
}
