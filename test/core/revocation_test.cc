#include "core/revocation.h"

#include <doctest/doctest.h>

#include "core/serial_list.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

TEST_CASE("a serial is added once, and read back in one reading only") {
    const TempDir dir;
    const std::string path = dir / "revoked-serials";
    for (const char* serial : {"0102", "ffee"}) {
        CHECK(*revoke_serial(path, serial, "web-01"));
        CHECK_FALSE(*revoke_serial(path, serial, "web-01"));
    }
    const auto list = SerialList::load(path);
    REQUIRE(list);
    CHECK(list->contains("0102"));
    CHECK(list->contains("ffee"));
    CHECK(list->size() == 2);  // not 102 in decimal too
    CHECK(list->warnings().empty());
}

TEST_CASE("a comment cannot add a line") {
    const TempDir dir;
    const std::string path = dir / "revoked-serials";
    REQUIRE(revoke_serial(path, "aa", "x\nbb"));
    CHECK(SerialList::load(path)->size() == 1);
}

TEST_CASE("a short serial needs a mark, as it could be a misspelt name") {
    for (const char* text : {"0xcafe", "ca:fe", "0000000000cafe00", "CA:FE"})
        CHECK(parse_serial_argument(text));
    CHECK(*parse_serial_argument("0X0A") == "0a");
    for (const char* text :
         {"cafe", "", "0x", "web-01", "0xzz", "0x 1", "12345678901234567890123456789012345678901"})
        CHECK(parse_serial_argument(text).error().code == Errc::usage);
}
