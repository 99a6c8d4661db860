#include "core/timestamp.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>

using namespace ctrlexec;

namespace {

const struct {
    std::int64_t seconds;
    std::string_view iso;
    std::string_view openssl;
} rows[] = {
    {0, "1970-01-01T00:00:00Z", "Jan  1 00:00:00 1970 GMT"},
    {-1, "1969-12-31T23:59:59Z", "Dec 31 23:59:59 1969 GMT"},
    {1772798400, "2026-03-06T12:00:00Z", "Mar  6 12:00:00 2026 GMT"},
    {1812385680, "2027-06-07T16:28:00Z", "Jun  7 16:28:00 2027 GMT"},
    {951782400, "2000-02-29T00:00:00Z", "Feb 29 00:00:00 2000 GMT"},
    {951868799, "2000-02-29T23:59:59Z", "Feb 29 23:59:59 2000 GMT"},
    {2147483648, "2038-01-19T03:14:08Z", "Jan 19 03:14:08 2038 GMT"},
    {4107542400, "2100-03-01T00:00:00Z", "Mar  1 00:00:00 2100 GMT"},
    {253402300799, "9999-12-31T23:59:59Z", "Dec 31 23:59:59 9999 GMT"},
    {-62167219200, "0000-01-01T00:00:00Z", "Jan  1 00:00:00 0000 GMT"},
};

}  // namespace

TEST_CASE("times are written in both forms and read back") {
    for (const auto& row : rows) {
        CAPTURE(row.iso);
        CHECK(iso8601(row.seconds) == row.iso);
        CHECK(openssl_time(row.seconds) == row.openssl);
        CHECK(parse_iso8601(row.iso) == row.seconds);
        CHECK(parse_openssl_time(row.openssl) == row.seconds);
    }
}

TEST_CASE("a time outside four-digit years is moved to the nearest end") {
    CHECK(iso8601(std::numeric_limits<std::int64_t>::max()) == "9999-12-31T23:59:59Z");
    CHECK(iso8601(std::numeric_limits<std::int64_t>::min()) == "0000-01-01T00:00:00Z");
    CHECK(openssl_time(253402300800) == "Dec 31 23:59:59 9999 GMT");
}

TEST_CASE("every day of 1600 years survives both forms") {
    for (std::int64_t t = -11676096000 + 43199; t < 38814854400; t += 86400) {
        if (parse_iso8601(iso8601(t)) != t || parse_openssl_time(openssl_time(t)) != t) FAIL(t);
    }
}

TEST_CASE("only the exact ISO form is read") {
    for (const std::string_view text : {"",
                                        "2026-03-06",
                                        "2026-03-06T12:00:00",
                                        "2026-03-06 12:00:00Z",
                                        "2026-03-06T12:00:00z",
                                        "2026-03-06T12:00:00ZZ",
                                        " 2026-03-06T12:00:00Z",
                                        "2026-03-06T12:00:00Z\n",
                                        "2026-3-06T12:00:00Z",
                                        "2026-03-06T12:00:00+00:00",
                                        "2026-03-06T12:00:00.5Z",
                                        "+026-03-06T12:00:00Z",
                                        "2026-13-06T12:00:00Z",
                                        "2026-00-06T12:00:00Z",
                                        "2026-02-29T12:00:00Z",
                                        "2026-03-00T12:00:00Z",
                                        "2026-03-32T12:00:00Z",
                                        "1900-02-29T00:00:00Z",
                                        "2026-03-06T24:00:00Z",
                                        "2026-03-06T12:60:00Z",
                                        "2026-03-06T12:00:60Z",
                                        "2026-03-0 T12:00:00Z"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_iso8601(text));
    }
}

TEST_CASE("only the exact OpenSSL form is read") {
    for (const std::string_view text :
         {"", "Jun 7 16:28:00 2027 GMT", "Jun 07 16:28:00 2027 GMT", "Jun  7 16:28:00 2027",
          "Jun  7 16:28:00 2027 UTC", "jun  7 16:28:00 2027 GMT", "Jux  7 16:28:00 2027 GMT",
          "Jun  0 16:28:00 2027 GMT", "Jun 31 16:28:00 2027 GMT", "Feb 29 00:00:00 2027 GMT",
          "Jun  7 24:00:00 2027 GMT", "Jun  7 16:60:00 2027 GMT", "Jun  7 16:28:60 2027 GMT",
          "Jun  7 16:28:00 2027 GMT ", " Jun  7 16:28:00 2027 GMT", "Jun    16:28:00 2027 GMT",
          "Jun  7 16:28:00  027 GMT", "notAfter=Jun  7 16:28:00 2027 GMT"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_openssl_time(text));
    }
}

TEST_CASE("the clock is past the day these lines were written") {
    CHECK(now_seconds() > 1764000000);
    CHECK(now_seconds() < 253402300799);
}
