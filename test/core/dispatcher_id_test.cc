#include "core/dispatcher_id.h"

#include <doctest/doctest.h>

#include <string>

#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

TEST_CASE("the dispatcher's id is made once, and is the same from then on") {
    const TempDir dir;
    const auto made = dispatcher_id(dir.path() + "/state");
    REQUIRE(made);
    CHECK(made->size() == 16);
    CHECK(made->find_first_not_of("0123456789abcdef") == std::string::npos);
    CHECK(*dispatcher_id(dir.path() + "/state") == *made);
    CHECK(*dispatcher_id(dir.path()) != *made);
}

TEST_CASE("a file that holds no id is an error with a remedy, not replaced") {
    const TempDir dir;
    for (const std::string text :
         {"", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0", "../../etc"}) {
        dir.put("dispatcher-id", text);
        const auto id = dispatcher_id(dir.path());
        REQUIRE_MESSAGE(!id, text);
        CHECK(id.error().code == Errc::config);
    }
}
