#include "core/allowlist_edit.h"

#include <doctest/doctest.h>

#include "core/allowlist.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

std::string allowed(std::string_view text, std::string_view name, std::string_view path) {
    const auto changed = allowed_in(text, name, path);
    REQUIRE(changed);
    return *changed;
}

}  // namespace

TEST_CASE("a new script is added at the end, all else stays byte for byte") {
    CHECK(allowed("", "a", "/x") == "a = /x\n");
    CHECK(allowed("# mine\n\n  b=/y \n", "a", "/x") == "# mine\n\n  b=/y \na = /x\n");
    CHECK(allowed("b = /y", "a", "/x") == "b = /y\na = /x\n");
    CHECK(allowed("# a = /old\n", "a", "/x") == "# a = /old\na = /x\n");
}

TEST_CASE("the line that counted is replaced where it stood, earlier ones of that name go") {
    CHECK(allowed("a = /1\nb = /y\n a=/2\nc = /z\n", "a", "/x") == "b = /y\na = /x\nc = /z\n");
}

TEST_CASE("a script that is taken off leaves no line of its name") {
    CHECK(disallowed_in("a = /1\n# a\nb = /y\na = relative\n", "a") == "# a\nb = /y\n");
    CHECK(disallowed_in("ab = /1\n", "a") == "ab = /1\n");
}

TEST_CASE("what the allowlist would not take is refused") {
    for (const std::string_view name : {"", "a b", "a=b", "../a", "#a", "a\n"}) {
        CAPTURE(name);
        const auto refused = allowed_in("", name, "/x");
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == Errc::usage);
    }
    for (const std::string_view path : {"", "x", " /x", "/x ", "/x\ny = /z", "/x\r"}) {
        CAPTURE(path);
        CHECK_FALSE(allowed_in("", "a", path));
    }
    CHECK_FALSE(allowed_in("", "a", "/" + std::string(5000, 'x')));
}

TEST_CASE("whatever is written is read back by the allowlist") {
    const std::string text = allowed("broken line\na = /1\n", "a", "/with = and # and blanks.sh");
    CHECK(Allowlist::parse("f", text).scripts().at("a").path == "/with = and # and blanks.sh");
}

TEST_CASE("the settings of a script stay when its path changes, unless others are given") {
    const std::string text = "a = /1\n a = /2\ttimeout=30s  env=\"A:b c\"\n";
    CHECK(allowed(text, "a", "/x") == "a = /x timeout=30s  env=\"A:b c\"\n");
    CHECK(*allowed_in(text, "a", "/x", "nice=3") == "a = /x nice=3\n");
    CHECK(allowed("a = /1 nice=3\na = /2\n", "a", "/x") ==
          "a = /x\n");  // the last line is the one that counted
    CHECK(disallowed_in(text, "a") == "");
}

TEST_CASE("settings that are wrong are neither written nor kept") {
    CHECK(allowed_in("", "a", "/x", "nicer=3").error().code == Errc::usage);
    CHECK(allowed_in("", "a", "/x", "word").error().code == Errc::usage);
    CHECK(allowed_in("", "a", "/x", "nice=3\nb = /y").error().code == Errc::usage);
    CHECK(allowed_in("", "a", "/x", "# nice=3").error().code == Errc::usage);
    const auto kept = allowed_in("a = /1 nicer=3\n", "a", "/x");
    REQUIRE_FALSE(kept);
    CHECK(kept.error().code == Errc::config);
    CHECK(mentions(kept.error().message, "unknown setting 'nicer'"));
    CHECK(*allowed_in("a = /1 nicer=3\n", "a", "/x", "nice=3") == "a = /x nice=3\n");
}

TEST_CASE("a path that would be read as settings is refused") {
    for (const std::string_view path : {"/x abc=1", "/x timeout=1", "/x timeout="})
        CHECK_FALSE(allowed_in("", "a", path));
}

TEST_CASE("the file keeps its mode, and tells what has changed") {
    const TempDir dir;
    const std::string file = dir.put("scripts.conf", "a = /1\n", 0640);
    CHECK(*allow_in_file(file, "a", "/1") == AllowlistChange::none);
    CHECK(*allow_in_file(file, "a", "/2") == AllowlistChange::replaced);
    CHECK(*allow_in_file(file, "b", "/3") == AllowlistChange::added);
    CHECK(dir.content("scripts.conf") == "a = /2\nb = /3\n");
    CHECK(*allow_in_file(file, "a", "/2", "nice=3 timeout=60") == AllowlistChange::replaced);
    CHECK(*allow_in_file(file, "a", "/2") == AllowlistChange::none);
    CHECK(*allow_in_file(file, "a", "/2", "timeout=1m nice=3") == AllowlistChange::none);
    CHECK(dir.content("scripts.conf") == "a = /2 nice=3 timeout=60\nb = /3\n");
    CHECK(*disallow_in_file(file, "a") == AllowlistChange::removed);
    CHECK(*disallow_in_file(file, "a") == AllowlistChange::none);
    CHECK(dir.content("scripts.conf") == "b = /3\n");
    CHECK(dir.mode("scripts.conf") == 0640);
}

TEST_CASE("a missing file is made, a refused line makes nothing") {
    const TempDir dir;
    CHECK_FALSE(allow_in_file(dir / "scripts.conf", "a", "relative"));
    CHECK(dir.names() == "");
    CHECK(*allow_in_file(dir / "scripts.conf", "a", "/1") == AllowlistChange::added);
    CHECK(dir.content("scripts.conf") == "a = /1\n");
}

TEST_CASE("many who allow at the same time lose no line") {
    constexpr int writers = 8;
    const TempDir dir;
    const std::string file = dir / "scripts.conf";
    std::vector<pid_t> processes;
    for (int i = 0; i < writers; ++i) {
        processes.push_back(start_process([&] {
            const std::string name = "s" + std::to_string(i);
            return allow_in_file(file, name, "/" + name) ? 0 : 1;
        }));
    }
    for (const pid_t process : processes) CHECK(status_of(process) == 0);
    CHECK(Allowlist::load(file)->scripts().size() == writers);
}
