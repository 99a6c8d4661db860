#include "core/base32.h"

#include <doctest/doctest.h>

using namespace ctrlexec;

TEST_CASE("base32 gives the values of RFC 4648, section 10, without padding") {
    CHECK(base32("") == "");
    CHECK(base32("f") == "MY");
    CHECK(base32("fo") == "MZXQ");
    CHECK(base32("foo") == "MZXW6");
    CHECK(base32("foob") == "MZXW6YQ");
    CHECK(base32("fooba") == "MZXW6YTB");
    CHECK(base32("foobar") == "MZXW6YTBOI");
}

TEST_CASE("base32 is read in either case and strictly") {
    CHECK(from_base32("") == "");
    CHECK(from_base32("mzxw6ytboi") == "foobar");
    CHECK(from_base32("MZXW6YQ") == "foob");
    const std::string bytes("\x00\xff\x80\x7f\x01", 5);
    CHECK(from_base32(base32(bytes)) == bytes);
    for (const char* bad :
         {"M", "MZX", "MZXW6Y", "MZ", "MZXW6YTBOI======", "MZXW 6YQ", "MZXW6Y1", "MZXW6YTBOJ"})
        CHECK_FALSE(from_base32(bad));
}
