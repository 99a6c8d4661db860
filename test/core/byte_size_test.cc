#include "core/byte_size.h"

#include <doctest/doctest.h>

#include <string_view>

#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

TEST_CASE("a size is a number of bytes, or of K, M or G in steps of 1024") {
    const auto is = [](std::string_view text, std::size_t expected) {
        const auto size = parse_byte_size(text);
        REQUIRE_MESSAGE(size, text);
        CHECK_MESSAGE(*size == expected, text);
    };
    is("0", 0);
    is("4096", 4096);
    is("64K", 65536);
    is("4M", 4u << 20);
    is("1G", 1u << 30);
}

TEST_CASE("what is no size is refused") {
    for (const std::string_view text :
         {"", "K", "-1", "+1", " 1", "1 K", "1K ", "1k", "1m", "1KB", "1KiB", "1T", "1.5M", "0x10", "1e3",
          "1025G", "18446744073709551615G", "18446744073709551616", "\x1b[2J"}) {
        const auto size = parse_byte_size(text);
        REQUIRE_MESSAGE(!size, text);
        CHECK(size.error().code == Errc::bad_request);
        CHECK(
            mentions(size.error().message, "must be a size from 0 to 1024G, such as 4096, 64K or 4M, not '"));
        for (const char c : size.error().message) CHECK(static_cast<unsigned char>(c) >= 0x20);
    }
}

TEST_CASE("a size lies within the caller's bounds") {
    CHECK(parse_byte_size("1024", 1024, 1u << 24));
    CHECK(parse_byte_size("16M", 1024, 1u << 24));
    CHECK_FALSE(parse_byte_size("1023", 1024, 1u << 24));
    CHECK(mentions(parse_byte_size("16385K", 1024, 1u << 24).error().message, "from 1K to 16M"));
}

TEST_CASE("a size is written in the largest unit that tells it exactly") {
    CHECK(byte_size_text(0) == "0");
    CHECK(byte_size_text(1000) == "1000");
    CHECK(byte_size_text(1536) == "1536");
    CHECK(byte_size_text(65536) == "64K");
    CHECK(byte_size_text(1u << 20) == "1M");
    CHECK(byte_size_text(std::size_t{3} << 30) == "3G");
}
