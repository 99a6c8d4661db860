#include "core/leftovers.h"

#include <doctest/doctest.h>

#include "core/file.h"
#include "core/timestamp.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

TEST_CASE("only temporary files of the file itself are leftovers") {
    const TempDir dir;
    const std::vector<std::string> kept{".ca.key.0123456789a.tmp",    ".ca.key.0123456789abc.tmp",
                                        ".ca.key.0123456789aB.tmp",   ".ca.key.0123456789ab.bak",
                                        ".ca.crt.0123456789ab.tmp",   "ca.key.0123456789ab.tmp",
                                        ".ca.key.x.0123456789ab.tmp", "ca.key"};
    for (const auto& name : kept) dir.put(name, "x");
    dir.put(".ca.key.0123456789ab.tmp", "x");
    dir.put(".ca.key.ba9876543210.tmp", "x");
    REQUIRE(remove_leftovers(dir / "ca.key", 0));
    for (const auto& name : kept) CHECK(file_exists(dir / name));
    CHECK(!file_exists(dir / ".ca.key.0123456789ab.tmp"));
    CHECK(!file_exists(dir / ".ca.key.ba9876543210.tmp"));
}

TEST_CASE("what is younger than asked for may still be in use") {
    const TempDir dir;
    dir.put(".ca.key.0123456789ab.tmp", "x");
    REQUIRE(remove_leftovers(dir / "ca.key", 60));
    CHECK(file_exists(dir / ".ca.key.0123456789ab.tmp"));
}

TEST_CASE("a directory that is not there is an error") {
    const TempDir dir;
    const auto removed = remove_leftovers(dir / "missing/ca.key", 0);
    REQUIRE(!removed);
    CHECK(removed.error().code == Errc::not_found);
}

}  // namespace
