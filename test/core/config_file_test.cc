#include "core/config_file.h"

#include <doctest/doctest.h>

#include <limits>
#include <random>
#include <string>
#include <string_view>

#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;
using namespace std::string_view_literals;

namespace {

ConfigFile parsed(std::string_view text) {
    auto file = ConfigFile::parse("x.conf", text);
    REQUIRE_MESSAGE(file, (file ? "" : file.error().text()));
    return std::move(*file);
}

}  // namespace

TEST_CASE("keys, sections, comments and blank lines are understood in all their spellings") {
    const ConfigFile file = parsed(
        "# comment\n"
        "   # indented comment = 1\n"
        "\n \t \n"
        "plain=1\r\n"
        "\tspaced   =   two words   \n"
        "with.dot-and_line = a=b=c # not a comment\n"
        "empty =\n"
        "[tags]\n"
        "env = production\n"
        "  [ spaced-name ]\t\n"
        "x = é\n"
        "last = no newline");
    struct Row {
        std::string section, key, value;
        int line;
    };
    const Row rows[] = {
        {"", "plain", "1", 6},
        {"", "spaced", "two words", 7},
        {"", "with.dot-and_line", "a=b=c # not a comment", 8},
        {"", "empty", "", 9},
        {"tags", "env", "production", 11},
        {"spaced-name", "x", "é", 13},
        {"spaced-name", "last", "no newline", 14},
    };
    REQUIRE(file.entries().size() == std::size(rows));
    for (std::size_t i = 0; i < std::size(rows); ++i) {
        const ConfigEntry& entry = file.entries()[i];
        CHECK(entry.section == rows[i].section);
        CHECK(entry.key == rows[i].key);
        CHECK(entry.value == rows[i].value);
        CHECK(entry.line + 1 == rows[i].line);
    }
}

TEST_CASE("a malformed line is refused with path and line") {
    const std::string_view lines[] = {
        "word",         "= value",    " = ",       "two words = 1", "ké = 1",
        "a/b = 1",      "a:b = 1",    "$(x) = 1",  "key : value",   "[",
        "[]",           "[ ]",        "[a",        "[a]]",          "[a] x",
        "[a b]",        "[[a]]",      "a = b\x01", "a = b\rc",      "a\0 = b"sv,
        "a = \0"sv,     "a = \x1b[m", "a = \x7f",  "\ufeffa = b",   "\xff = b",
        "export a = b", "a\tb = c",
    };
    for (const auto line : lines) {
        const auto file =
            ConfigFile::parse("/etc/x.conf", "good = 1\n\n" + std::string(line) + "\nmore = 2\n");
        REQUIRE_MESSAGE(!file, line);
        CHECK(file.error().code == Errc::config);
        CHECK_MESSAGE(mentions(file.error().message, "/etc/x.conf:3: "), file.error().message);
        for (const char c : file.error().message) CHECK_MESSAGE(static_cast<unsigned char>(c) >= 0x20, line);
    }
}

TEST_CASE("the first bad line is the one that is reported") {
    CHECK(mentions(ConfigFile::parse("f", "a = 1\nbad\nworse").error().message, "f:2: "));
}

TEST_CASE("a key of 64 characters is the longest, and a long bad line is shown cut") {
    CHECK(ConfigFile::parse("f", std::string(64, 'k') + " = 1"));
    CHECK_FALSE(ConfigFile::parse("f", std::string(65, 'k') + " = 1"));
    const auto file = ConfigFile::parse("f", std::string(500'000, 'x'));
    REQUIRE_FALSE(file);
    CHECK(file.error().message.size() < 200);
}

TEST_CASE("a key that is set twice has its last value; a section's keys do not count") {
    const ConfigFile file = parsed("a = 1\nb = 1\na = 2\n[s]\na = 3\nonly = 4\n");
    CHECK(file.text("a") == "2");
    CHECK(file.text("b") == "1");
    CHECK(file.text("only", "fallback") == "fallback");
    CHECK_FALSE(file.required("only"));
    CHECK(*file.integer("a", 0, 0, 10) == 2);
}

TEST_CASE("an empty value is the fallback for text and an error where a value is needed") {
    const ConfigFile file = parsed("a =\n");
    CHECK(file.text("a", "fallback") == "fallback");
    CHECK(file.text("missing") == "");
    CHECK(mentions(file.required("a").error().message, "x.conf:1: 'a' has no value"));
    CHECK(mentions(file.integer("a", 5, 0, 9).error().message, "x.conf:1: a must be a number from 0 to 9"));
    CHECK(mentions(file.boolean("a", true).error().message, "x.conf:1: a must be yes or no"));
    const auto missing = file.required("cert");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == Errc::config);
    CHECK(mentions(missing.error().message, "x.conf: 'cert' is missing"));
}

TEST_CASE("integers are whole decimal numbers within their limits") {
    struct Row {
        std::string value;
        int number;
    };
    for (const Row& row : {Row{"1", 1}, Row{"65535", 65535}, Row{"080", 80}, Row{" 7\t", 7}}) {
        const auto number = parsed("port = " + row.value).integer("port", -1, 1, 65535);
        REQUIRE_MESSAGE(number, row.value);
        CHECK(*number == row.number);
    }
    for (const auto* value : {"0", "65536", "-1", "+1", "1.0", "1e3", "0x10", "ten", "1 2", "1k",
                              "99999999999999999999", "18446744073709551617", "-0x1", "１"}) {
        const auto number = parsed("# x\nport = " + std::string(value)).integer("port", -1, 1, 65535);
        REQUIRE_MESSAGE(!number, value);
        CHECK(number.error().code == Errc::config);
        CHECK_MESSAGE(mentions(number.error().message, "x.conf:2: port must be a number from 1 to 65535"),
                      value);
    }
    CHECK(*parsed("").integer("port", 42, 1, 65535) == 42);
}

TEST_CASE("the whole text must be a number for parse_integer") {
    constexpr auto low = std::numeric_limits<std::int64_t>::min();
    constexpr auto high = std::numeric_limits<std::int64_t>::max();
    std::int64_t out = 99;
    for (const auto text : {""sv, " 1"sv, "1 "sv, "1\0"sv, "\0"sv, "+1"sv, "-"sv, "--1"sv, "1-"sv,
                            "9223372036854775808"sv, "-9223372036854775809"sv, "0x1"sv, "1.0"sv, "\n1"sv}) {
        CHECK_MESSAGE(!parse_integer(text, low, high, out), text);
        CHECK(out == 99);
    }
    CHECK(parse_integer("-9223372036854775808", low, high, out));
    CHECK(out == low);
    CHECK(parse_integer("9223372036854775807", low, high, out));
    CHECK(out == high);
    CHECK_FALSE(parse_integer("11", 0, 10, out));
    CHECK_FALSE(parse_integer("-1", 0, 10, out));
    CHECK(out == high);
}

TEST_CASE("booleans and choices take their words only") {
    for (const auto* word : {"yes", "true", "on", "1"})
        CHECK(*parsed("b = " + std::string(word)).boolean("b", false));
    for (const auto* word : {"no", "false", "off", "0"})
        CHECK_FALSE(*parsed("b = " + std::string(word)).boolean("b", true));
    for (const auto* word : {"Yes", "y", "2", "enabled", "yes please", "\"yes\""}) {
        CHECK_MESSAGE(!parsed("b = " + std::string(word)).boolean("b", false), word);
    }
    CHECK(*parsed("").boolean("b", true));
    CHECK(*parsed("c = rsa").choice("c", 0, {"ecdsa", "rsa"}) == 1);
    CHECK(*parsed("").choice("c", 1, {"ecdsa", "rsa"}) == 1);
    const auto choice = parsed("c = dsa").choice("c", 0, {"ecdsa", "rsa"});
    REQUIRE_FALSE(choice);
    CHECK(choice.error().message == "x.conf:1: c must be ecdsa or rsa, not 'dsa'");
}

TEST_CASE("unknown keys are named with their line, sections' keys are not") {
    const auto warnings = parsed("known = 1\n\ntypo = 2\n[tags]\nanything = 3\n").unknown_keys({"known"});
    REQUIRE(warnings.size() == 1);
    CHECK(mentions(warnings[0], "x.conf:3: unknown key 'typo'"));
}

TEST_CASE("trim takes blanks from both ends") {
    CHECK(trim(" \t\r a b \r\t") == "a b");
    CHECK(trim("").empty());
    CHECK(trim(" \t\r").empty());
    CHECK(trim("a\n") == "a\n");
}

TEST_CASE("a missing, unreadable or oversized file is a configuration error that names the file") {
    const TempDir dir;
    const std::string whole = dir.put("whole.conf", std::string(max_config_bytes - 6, '#') + "\na = 1");
    CHECK(ConfigFile::load(whole)->text("a") == "1");
    for (const std::string& path : {dir / "missing.conf", dir.directory("directory"),
                                    dir.put("big.conf", std::string(max_config_bytes + 1, '\n'))}) {
        const auto file = ConfigFile::load(path);
        REQUIRE_MESSAGE(!file, path);
        CHECK(file.error().code == Errc::config);
        CHECK_MESSAGE(mentions(file.error().message, path), file.error().message);
    }
}

TEST_CASE("random bytes are parsed or refused, and every entry that is parsed is well formed") {
    std::mt19937 random(5);
    const std::string_view alphabet = "ab=[]# \t\r\n\0\x1b\xc3\xa9.-_9"sv;
    int parsed_files = 0;
    for (int i = 0; i < 20'000; ++i) {
        std::string text(random() % 24, ' ');
        for (char& c : text) c = alphabet[random() % alphabet.size()];
        const auto file = ConfigFile::parse("f", text);
        if (!file) continue;
        ++parsed_files;
        for (const auto& entry : file->entries()) {
            REQUIRE_FALSE(entry.key.empty());
            REQUIRE(entry.value.find_first_of("\n\r\0\x1b"sv) == std::string::npos);
            REQUIRE(trim(entry.value) == entry.value);
            REQUIRE(entry.line > 0);
        }
    }
    CHECK(parsed_files > 100);
}
