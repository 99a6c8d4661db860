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
    CHECK(Allowlist::parse("f", text).scripts().at("a") == "/with = and # and blanks.sh");
}

TEST_CASE("the file keeps its mode, and tells what has changed") {
    const TempDir dir;
    const std::string file = dir.put("scripts.conf", "a = /1\n", 0640);
    CHECK(*allow_in_file(file, "a", "/1") == AllowlistChange::none);
    CHECK(*allow_in_file(file, "a", "/2") == AllowlistChange::replaced);
    CHECK(*allow_in_file(file, "b", "/3") == AllowlistChange::added);
    CHECK(dir.content("scripts.conf") == "a = /2\nb = /3\n");
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
