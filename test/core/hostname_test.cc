#include "core/hostname.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace ctrlexec;
using namespace std::string_view_literals;

TEST_CASE("names of machines are host names") {
    for (const auto name : {"a", "web-01", "Web-01.example.org", "10.77.0.11", "under_score", "9lives",
                            "a.b.c.", "a-", "xn--bcher-kva.example"}) {
        CHECK_MESSAGE(is_valid_hostname(name), name);
    }
    CHECK(is_valid_hostname(std::string(253, 'a')));
}

TEST_CASE("nothing that could leave a directory, hide a file, start an option or end a line is a host name") {
    for (const auto name :
         {""sv,     "."sv,       ".."sv,   "../x"sv, "a/../b"sv, "a..b"sv, "a.."sv,    "/etc"sv,  "a/b"sv,
          "a\\b"sv, ".hidden"sv, "-rf"sv,  "_x"sv,   "a b"sv,    " a"sv,   "a "sv,     "a\n"sv,   "a\0"sv,
          "\0"sv,   "a\tb"sv,    "a:b"sv,  "::1"sv,  "[::1]"sv,  "a%b"sv,  "a*"sv,     "a?"sv,    "$a"sv,
          "a;b"sv,  "a'b"sv,     "a\"b"sv, "a,b"sv,  "a=b"sv,    "a@b"sv,  "bücher"sv, "a\xff"sv, "а"sv}) {
        CHECK_MESSAGE(!is_valid_hostname(name), name);
    }
    CHECK_FALSE(is_valid_hostname(std::string(254, 'a')));
}
