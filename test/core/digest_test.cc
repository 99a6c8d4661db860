#include "core/digest.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace ctrlexec;

TEST_CASE("SHA-256 gives the values of FIPS 180-4") {
    CHECK(to_hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(to_hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(to_hex(sha256(std::string(1'000'000, 'a'))) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    CHECK(sha256(std::string_view("a\0b", 3)) != sha256("a"));
}

TEST_CASE("comparison in constant time still compares") {
    CHECK(equal_constant_time("", ""));
    CHECK(equal_constant_time("secret", "secret"));
    CHECK_FALSE(equal_constant_time("secret", "secreT"));
    CHECK_FALSE(equal_constant_time("Secret", "secret"));
    CHECK_FALSE(equal_constant_time("secret", "secret1"));
    CHECK_FALSE(equal_constant_time("", "x"));
    CHECK_FALSE(equal_constant_time(std::string_view("a\0b", 3), std::string_view("a\0c", 3)));
}

TEST_CASE("hex is lower case, two digits a byte") {
    const std::uint8_t bytes[] = {0x00, 0x0a, 0xff, 0x7f};
    CHECK(to_hex(bytes) == "000aff7f");
    CHECK(to_hex({}) == "");
}

TEST_CASE("random hex has the asked length and does not repeat") {
    CHECK(random_hex(0) == "");
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
        const std::string reqid = new_reqid();
        CHECK(reqid.size() == 16);
        CHECK(reqid.find_first_not_of("0123456789abcdef") == std::string::npos);
        CHECK(seen.insert(reqid).second);
    }
}
