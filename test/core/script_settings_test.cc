#include "core/script_settings.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;
using namespace std::chrono_literals;

namespace {

ScriptSettings settings(std::string_view text) {
    const auto parsed = parse_settings(text);
    REQUIRE_MESSAGE(parsed, (parsed ? std::string() : parsed.error().text()));
    return *parsed;
}

std::string problem(std::string_view text) {
    const auto parsed = parse_settings(text);
    REQUIRE_MESSAGE(!parsed, text);
    CHECK(parsed.error().code == Errc::config);
    for (const char c : parsed.error().message) CHECK_MESSAGE(static_cast<unsigned char>(c) >= 0x20, text);
    return parsed.error().message;
}

}  // namespace

TEST_CASE("settings begin with the first word of the form [a-z_]+=") {
    const auto is = [](std::string_view text, std::string_view path, std::string_view rest) {
        const auto split = split_settings(text);
        CHECK_MESSAGE(split.path == path, text);
        CHECK_MESSAGE(split.settings == rest, text);
    };
    is("", "", "");
    is(" \t\r", "", "");
    is("/x", "/x", "");
    is("/x y  z ", "/x y  z", "");
    is("/x timeout=1", "/x", "timeout=1");
    is(" /x y\t_a= more words ", "/x y", "_a= more words");
    is("timeout=1 /x", "", "timeout=1 /x");
    is("/x=1 =y A=1 a1=1 a-b=1 -a=1", "/x=1 =y A=1 a1=1 a-b=1 -a=1", "");
    is("/x \"a=1", "/x \"a=1", "");
    is("/x a==", "/x", "a==");
}

TEST_CASE("every setting is read into its own field") {
    const ScriptSettings all = settings(
        "timeout=30s kill_grace=0 output_limit=4M concurrency=1 user=backup group=disk cwd=/var/tmp "
        "env=KEY:value umask=027 nice=-10 env=_b2:");
    CHECK(all.timeout == 30s);
    CHECK(all.kill_grace == 0s);
    CHECK(all.output_limit == 4u << 20);
    CHECK(all.concurrency == 1);
    CHECK(all.user == "backup");
    CHECK(all.group == "disk");
    CHECK(all.cwd == "/var/tmp");
    CHECK(all.environment == std::vector<std::string>{"KEY=value", "_b2="});
    CHECK(all.umask == mode_t{027});
    CHECK(all.nice == -10);
    CHECK(settings("") == ScriptSettings());
    CHECK(settings(" \t ") == ScriptSettings());
    CHECK(settings("umask=0").umask == mode_t{0});
    CHECK(settings("umask=0777").umask == mode_t{0777});
    CHECK(settings("user=0 group=4294967294").user == "0");
}

TEST_CASE("a value in double quotes may hold blanks, quotes and backslashes") {
    CHECK(settings("env=\"A: b  c \"").environment[0] == "A= b  c ");
    CHECK(settings("env=\"A:\\\"q\\\" \\\\ \\\\n\"").environment[0] == "A=\"q\" \\ \\n");
    CHECK(settings("cwd=\"/a b\" nice=\"3\"").cwd == "/a b");
    CHECK(settings("env=A:\\n").environment[0] == "A=\\n");  // without quotes a backslash is only that
    CHECK(settings("env=A:b=c:d").environment[0] == "A=b=c:d");
    CHECK(settings("env=\"A:tab\there\"").environment[0] == "A=tab\there");
    CHECK(mentions(problem("env=\"A:b"), "a quote that is never closed"));
    CHECK(mentions(problem("env=\"A:b\\"), "a backslash"));
    CHECK(mentions(problem("env=\"A:\\n\""), "write \\\\ for a backslash"));
    CHECK(mentions(problem("env=A:\"b c\""), "put the whole value in quotes"));
    CHECK(mentions(problem("env=\"A:b\"c"), "put the whole value in quotes"));
}

TEST_CASE("an unknown setting is told, with what was meant") {
    CHECK(mentions(problem("timout=30s"), "unknown setting 'timout'; did you mean 'timeout'?"));
    CHECK(mentions(problem("nice=1 usr=x"), "unknown setting 'usr'; did you mean 'user'?"));
    CHECK(mentions(problem("abc=1"), "unknown setting 'abc'; there are timeout, kill_grace, output_limit"));
}

TEST_CASE("what is no setting is told") {
    CHECK(mentions(problem("nice=1 word"), "'word' is no setting"));
    CHECK(mentions(problem("nice = 1"), "without blanks around the '='"));
    CHECK(mentions(problem("nice=1 Umask=022"), "'Umask=022' is no setting"));
    CHECK(mentions(problem("nice=1 # note"), "comments stand on lines of their own"));
    CHECK(mentions(problem("env=A:b\x1b[2J"), "control character"));
}

TEST_CASE("a setting that is there twice is refused, and so is a variable that is") {
    CHECK(problem("nice=1 nice=1") == "nice is set twice");
    CHECK(problem("env=A:1 env=B:2 env=A:3") == "env sets A twice");
    CHECK(settings("env=A:1 env=AB:2").environment.size() == 2);
}

TEST_CASE("a value that cannot be used is refused with what is expected") {
    for (const std::string_view text :
         {"timeout=", "timeout=0", "timeout=soon", "timeout=31d", "timeout=-1s"})
        CHECK(mentions(problem(text), "timeout must be a time from"));
    CHECK(mentions(problem("kill_grace=2h"), "kill_grace must be a time from 0s to 1h"));
    for (const std::string_view text :
         {"output_limit=", "output_limit=1023", "output_limit=17M", "output_limit=1MB"})
        CHECK(mentions(problem(text), "output_limit must be a size from 1K to 16M"));
    for (const std::string_view text :
         {"concurrency=0", "concurrency=10001", "concurrency=", "concurrency=x"})
        CHECK(mentions(problem(text), "concurrency must be a number from 1 to 10000"));
    for (const std::string_view text : {"nice=-21", "nice=20", "nice=", "nice=+1"})
        CHECK(mentions(problem(text), "nice must be a number from -20 to 19"));
    for (const std::string_view text :
         {"umask=", "umask=08", "umask=1000", "umask=00022", "umask=-1", "umask=0x1"})
        CHECK(mentions(problem(text), "umask must be an octal number from 0 to 0777"));
    for (const std::string_view text : {"cwd=", "cwd=tmp", "cwd=./x", "cwd=~"})
        CHECK(mentions(problem(text), "cwd must be an absolute path"));
    for (const std::string_view text :
         {"user=", "user=a:b", "user=a,b", "user=\"a b\"", "user=-1", "user=a/b"})
        CHECK(mentions(problem(text), "user must be the name or the number of a user"));
    CHECK(mentions(problem("group=a:b"), "group must be the name or the number of a group"));
    for (const std::string_view text :
         {"env=", "env=A", "env=:b", "env=1A:b", "env=A-B:c", "env=A=b", "env=\"A B:c\""})
        CHECK(mentions(problem(text), "env must be KEY:value"));
    CHECK(mentions(problem("env=A:" + std::string(5000, 'x')), "more than 4096 bytes"));
}

TEST_CASE("the loader's variables cannot be set") {
    CHECK(mentions(problem("env=LD_PRELOAD:/x.so"), "must not set LD_PRELOAD"));
    CHECK(mentions(problem("env=LD_LIBRARY_PATH:/x"), "must not set LD_LIBRARY_PATH"));
    CHECK(settings("env=PATH:/opt/bin env=LDFLAGS:x").environment.size() == 2);
}

TEST_CASE("what a shell took the quotes off is written so that it is read back") {
    for (const std::string_view text :
         {"env=A:b", "env=A:b c", "env=A:\"q\"", "env=A:\\", "env=A:", "cwd=/a\tb", "env=A:\"", "nice=1"}) {
        const auto parsed = parse_settings(quoted_setting(text));
        REQUIRE_MESSAGE(parsed, text);
    }
    CHECK(quoted_setting("nice=1") == "nice=1");
    CHECK(quoted_setting("env=A:say \"a\\b\"") == "env=\"A:say \\\"a\\\\b\\\"\"");
    CHECK(settings(quoted_setting("env=A:say \"a\\b\"")).environment[0] == "A=say \"a\\b\"");
    CHECK(quoted_setting("word") == "word");
}
