#include "core/target.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace ctrlexec;
using namespace std::string_view_literals;

TEST_CASE("a target is a name or an address, with or without a port") {
    struct Row {
        std::string_view text, host;
        int port;
    };
    const Row rows[] = {
        {"web-01", "web-01", 0},
        {"web-01:7443", "web-01", 7443},
        {"Web.Example.org.:1", "Web.Example.org.", 1},
        {"10.77.0.11", "10.77.0.11", 0},
        {"10.77.0.11:65535", "10.77.0.11", 65535},
        {"::1", "::1", 0},
        {"::", "::", 0},
        {"2001:db8::7443", "2001:db8::7443", 0},
        {"::ffff:10.0.0.1", "::ffff:10.0.0.1", 0},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", 0},
        {"[::1]", "::1", 0},
        {"[::1]:7443", "::1", 7443},
        {"[2001:db8::1]:443", "2001:db8::1", 443},
    };
    for (const auto& row : rows) {
        const auto target = Target::parse(row.text);
        REQUIRE_MESSAGE(target, row.text);
        CHECK(target->host == row.host);
        CHECK(target->port == row.port);
    }
}

TEST_CASE("anything else is a usage error whose message is safe to print") {
    for (const auto text : {
             ""sv,
             ":"sv,
             ":80"sv,
             "web:"sv,
             "web:0"sv,
             "web:65536"sv,
             "web:-1"sv,
             "web:+80"sv,
             "web: 80"sv,
             "web:80 "sv,
             "web:http"sv,
             "web:80:90"sv,
             "web:99999999999999999999"sv,
             "web:0x50"sv,
             "web:8\0"sv,
             "[::1"sv,
             "::1]"sv,
             "[::1]:"sv,
             "[::1]:0"sv,
             "[::1]:65536"sv,
             "[::1]80"sv,
             "[::1]]:80"sv,
             "[[::1]]"sv,
             "[]"sv,
             "[]:80"sv,
             "[10.0.0.1]:80"sv,
             "[web]:80"sv,
             "[fe80::1%eth0]"sv,
             "fe80::1%eth0"sv,
             "1:2:3"sv,
             "1:2:3:4:5:6:7:8:9"sv,
             ":::1"sv,
             "12345::"sv,
             "::1:17443"sv,
             "2001:db8::1:65535"sv,
             "web 01"sv,
             " web"sv,
             "web\n"sv,
             "-web"sv,
             "--help"sv,
             "../web"sv,
             "web/../x"sv,
             "user@web"sv,
             "http://web"sv,
             "web\x1b[2J"sv,
             "wéb"sv,
             "web\0"sv,
             "web\0:80"sv,
             "::1\0"sv,
             "::1\0evil"sv,
             "[::1\0]:80"sv,
             "[::1]\0"sv,
             "10.0.0.1\0"sv,
             "\0"sv,
         }) {
        const auto target = Target::parse(text);
        REQUIRE_MESSAGE(!target, text);
        CHECK(target.error().code == Errc::usage);
        for (const char c : target.error().message)
            CHECK_MESSAGE(static_cast<unsigned char>(c) >= 0x20, text);
    }
    const auto longest = Target::parse(std::string(1'000'000, ':'));
    REQUIRE_FALSE(longest);
    CHECK(longest.error().message.size() < 300);
}

TEST_CASE("only whole addresses are addresses") {
    for (const auto text : {"127.0.0.1"sv, "0.0.0.0"sv, "255.255.255.255"sv, "::"sv, "::1"sv, "fe80::1"sv,
                            "::ffff:1.2.3.4"sv}) {
        CHECK_MESSAGE(is_ip_address(text), text);
    }
    for (const auto text :
         {""sv, "1.2.3"sv, "1.2.3.4.5"sv, "256.0.0.1"sv, "1.2.3.4 "sv, "0x7f.0.0.1"sv, "127.1"sv, "[::1]"sv,
          "::1%lo"sv, "::1/128"sv, "localhost"sv, "1.2.3.4\0"sv, "::1\0x"sv, "1.2.3.4:80"sv}) {
        CHECK_MESSAGE(!is_ip_address(text), text);
    }
}

TEST_CASE("host_port writes what Target reads") {
    CHECK(host_port("web", 80) == "web:80");
    CHECK(host_port("10.0.0.1", 80) == "10.0.0.1:80");
    CHECK(host_port("::1", 80) == "[::1]:80");
    for (const auto* host : {"web", "10.0.0.1", "2001:db8::1"}) {
        const auto target = Target::parse(host_port(host, 7443));
        REQUIRE(target);
        CHECK(target->host == host);
        CHECK(target->port == 7443);
    }
}
