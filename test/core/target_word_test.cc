#include "core/target_word.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace ctrlexec;
using Kind = TargetWord::Kind;

TEST_CASE("a word is a host, a glob, a tag, a group, or all") {
    struct Row {
        std::string_view text;
        Kind kind;
        std::string_view name, pattern;
    };
    const Row rows[] = {
        {"web-01", Kind::host, "", ""},
        {"web-01:7443", Kind::host, "", ""},
        {"[::1]:7443", Kind::host, "", ""},
        {"all:7443", Kind::host, "", ""},
        {"ALL", Kind::host, "", ""},
        {"tag:7443", Kind::host, "", ""},
        {"all", Kind::all, "", ""},
        {"*", Kind::glob, "", "*"},
        {"web-?", Kind::glob, "", "web-?"},
        {"*.example.net", Kind::glob, "", "*.example.net"},
        {"tag:env", Kind::tag, "env", "*"},
        {"tag:env=prod*", Kind::tag, "env", "prod*"},
        {"tag:a=b=c d", Kind::tag, "a", "b=c d"},
        {"tag:7443x", Kind::tag, "7443x", "*"},
        {"@web", Kind::group, "web", ""},
    };
    for (const auto& row : rows) {
        const auto word = TargetWord::parse(row.text);
        REQUIRE_MESSAGE(word, row.text);
        CHECK_MESSAGE(word->kind == row.kind, row.text);
        CHECK(word->text == row.text);
        CHECK(word->name == row.name);
        CHECK(word->pattern == row.pattern);
    }
    CHECK(TargetWord::parse("tag:7443")->host.port == 7443);
}

TEST_CASE("anything else is a usage error that is safe to print") {
    for (const std::string_view text :
         {"", "@", "@a b", "@@a", "tag:", "tag:=x", "tag:env=", "tag:e nv", "tag:env=\x1b[31m", "web *",
          "*:7443", "[*]", "-*", "*..*", "tag:0", "tag:99999", "web 01"}) {
        const auto word = TargetWord::parse(text);
        REQUIRE_MESSAGE(!word, text);
        CHECK(word.error().code == Errc::usage);
        CHECK(word.error().message.find('\x1b') == std::string::npos);
    }
    CHECK(!TargetWord::parse(std::string(300, '*')));
    CHECK(!TargetWord::parse("tag:env=" + std::string(300, 'x')));
}
