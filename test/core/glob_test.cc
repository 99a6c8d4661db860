#include "core/glob.h"

#include <doctest/doctest.h>

#include <string>

using ctrlexec::glob_matches;

TEST_CASE("a glob without wildcards matches itself only") {
    CHECK(glob_matches("web-01", "web-01"));
    CHECK(glob_matches("", ""));
    for (const char* other : {"", "web-0", "web-011", "xweb-01", "Web-01", "web.01"})
        CHECK_FALSE_MESSAGE(glob_matches("web-01", other), other);
    CHECK_FALSE(glob_matches("", "a"));
    CHECK_FALSE_MESSAGE(glob_matches("a.c", "abc"), "a point is no wildcard");
    CHECK_FALSE_MESSAGE(glob_matches("[ab]", "a"), "nor are brackets");
    CHECK_FALSE_MESSAGE(glob_matches("\\*", "*"), "and nothing quotes");
}

TEST_CASE("'*' stands for any number of characters, none too") {
    for (const char* text : {"", "a", "web-01", "a/b.c"}) CHECK_MESSAGE(glob_matches("*", text), text);
    CHECK(glob_matches("web-*", "web-"));
    CHECK(glob_matches("web-*", "web-01.example.net"));
    CHECK(glob_matches("*-01", "web-01"));
    CHECK(glob_matches("w*b*1", "web-01"));
    CHECK(glob_matches("**", ""));
    CHECK(glob_matches("a*b*c", "a-b-b-c"));
    CHECK(glob_matches("*ab", "aab"));
    CHECK(glob_matches("*a*b", "ab-ab"));
    CHECK_FALSE(glob_matches("web-*", "web"));
    CHECK_FALSE(glob_matches("web-*", "a-web-1"));
    CHECK_FALSE(glob_matches("*-01", "web-01x"));
    CHECK_FALSE(glob_matches("a*b*c", "a-c-b"));
}

TEST_CASE("'?' stands for one character, also one of several bytes") {
    CHECK(glob_matches("web-0?", "web-01"));
    CHECK(glob_matches("???", "abc"));
    CHECK(glob_matches("?", "\xc3\xa9"));
    CHECK(glob_matches("?*?", "\xe2\x82\xac-"));
    CHECK(glob_matches("?", "\xff"));
    CHECK_FALSE(glob_matches("web-0?", "web-0"));
    CHECK_FALSE(glob_matches("web-0?", "web-012"));
    CHECK_FALSE(glob_matches("??", "\xc3\xa9"));
    CHECK_FALSE(glob_matches("*??", "\xe2\x82\xac"));
}

TEST_CASE("a hostile pattern costs its length times the text's, no more") {
    std::string pattern;
    for (int i = 0; i < 2000; ++i) pattern += "a*";
    CHECK_FALSE(glob_matches(pattern + "b", std::string(4000, 'a')));
    CHECK(glob_matches(pattern, std::string(4000, 'a')));
}
