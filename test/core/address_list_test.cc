#include "core/address_list.h"

#include <doctest/doctest.h>

#include <string>

using namespace ctrlexec;

namespace {

bool allows(const std::string& list, const std::string& ip) {
    const auto parsed = AddressList::parse(list);
    REQUIRE_MESSAGE(parsed, list);
    return parsed->contains(ip);
}

}  // namespace

TEST_CASE("addresses and prefixes of any length match exactly what lies below them") {
    CHECK(allows("10.0.0.7", "10.0.0.7"));
    CHECK_FALSE(allows("10.0.0.7", "10.0.0.8"));
    CHECK(allows("10.0.0.0/8, 192.168.1.128/25", "192.168.1.200"));
    CHECK_FALSE(allows("10.0.0.0/8 192.168.1.128/25", "192.168.1.127"));
    CHECK(allows("172.16.0.0/12", "172.31.255.255"));
    CHECK_FALSE(allows("172.16.0.0/12", "172.32.0.0"));
    CHECK(allows("0.0.0.0/0", "203.0.113.9"));
    CHECK(allows("fd00::/8", "fd12:3456::1"));
    CHECK_FALSE(allows("fd00::/8", "fe80::1"));
    CHECK(allows("2001:db8::/33", "2001:db8:7fff::1"));
    CHECK_FALSE(allows("2001:db8::/33", "2001:db8:8000::1"));
    CHECK(allows("::/0", "2001:db8::1"));
}

TEST_CASE("IPv4 does not match IPv6 prefixes other than the mapped ones, nor the other way round") {
    CHECK(allows("10.0.0.7", "::ffff:10.0.0.7"));
    CHECK_FALSE(allows("0.0.0.0/0", "2001:db8::1"));
    CHECK_FALSE(allows("fd00::/8", "10.0.0.7"));
}

TEST_CASE("text that is no address is never allowed") {
    CHECK_FALSE(allows("0.0.0.0/0,::/0", ""));
    CHECK_FALSE(allows("0.0.0.0/0,::/0", "localhost"));
    CHECK_FALSE(allows("", "10.0.0.1"));
}

TEST_CASE("an entry that cannot be read refuses the whole list") {
    for (const char* entry : {"10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "10.0.0.0/-1", "fd00::/129", "host",
                              "10.0.0.1/x", "10.0.0.1;10.0.0.2", "/8", "1.2.3.4/8/9"}) {
        const auto parsed = AddressList::parse(std::string("127.0.0.1, ") + entry);
        REQUIRE_MESSAGE(!parsed, entry);
        CHECK(parsed.error().code == Errc::config);
    }
}

TEST_CASE("an address does not end at a NUL") {
    using namespace std::string_view_literals;
    CHECK_FALSE(ctrlexec::AddressList::parse("10.0.0.1\0x"sv));
    CHECK_FALSE(ctrlexec::AddressList::parse("10.0.0.0/8"sv)->contains("10.0.0.1\0x"sv));
}
