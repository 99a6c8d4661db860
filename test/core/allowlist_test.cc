#include "core/allowlist.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/config_file.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

void denied(const Allowlist& list, std::string_view name, const std::vector<std::string>& script_dirs) {
    const auto program = list.approve(name, script_dirs);
    REQUIRE_MESSAGE(!program, name);
    CHECK(program.error().code == Errc::denied);
    CHECK(program.error().message == "script not permitted");  // the peer learns no more than that
}

void approved(const Allowlist& list, std::string_view name, const std::vector<std::string>& script_dirs,
              const std::string& path) {
    const auto program = list.approve(name, script_dirs);
    REQUIRE_MESSAGE(program, name);
    CHECK(program->path() == path);
}

std::map<std::string, std::string> paths(const Allowlist& list) {
    std::map<std::string, std::string> paths;
    for (const auto& [name, entry] : list.scripts()) paths[name] = entry.path;
    return paths;
}

Allowlist listing(const std::string& path) {
    return Allowlist::parse("scripts.conf", "s = " + path + "\n");
}

}  // namespace

TEST_CASE("the allowlist of an old deployment is taken as it is") {
    const auto list = Allowlist::load(TEST_DATA_DIR "/old/scripts.conf");
    REQUIRE(list);
    CHECK(paths(*list) == std::map<std::string, std::string>{{"true", "/opt/ctrl-exec-scripts/true.sh"}});
    CHECK(list->warnings().empty());
}

TEST_CASE("a bad line is skipped and reported, the others stay") {
    const std::string_view lines[] = {
        "word",
        "= /bin/true",
        "two words = /bin/true",
        "a/b = /bin/true",
        "../x = /bin/true",
        "a.b = /bin/true",
        "é = /bin/true",
        "rel = bin/true",
        "rel = ./true",
        "rel = ../bin/true",
        "home = ~/true",
        "empty =",
        "quoted = \"/bin/true\"",
        "nul = /bin/true\0.sh"sv,
        "a\0 = /bin/true"sv,
        "[tags]",
        "a\x1b[2J = /bin/true",
        "$x = /bin/true",
        "a = b = /bin/true",
    };
    for (const auto line : lines) {
        const Allowlist list =
            Allowlist::parse("/etc/scripts.conf", "# scripts\ngood = /bin/true\n" + std::string(line) +
                                                      "\nfine = /bin/false --not-an-argument\n");
        CHECK_MESSAGE(list.scripts().size() == 2, line);
        CHECK(list.scripts().at("good").path == "/bin/true");
        CHECK(list.scripts().at("fine").path == "/bin/false --not-an-argument");
        REQUIRE_MESSAGE(list.warnings().size() == 1, line);
        CHECK_MESSAGE(mentions(list.warnings()[0], "/etc/scripts.conf:3: "), list.warnings()[0]);
        for (const char c : list.warnings()[0]) CHECK_MESSAGE(static_cast<unsigned char>(c) >= 0x20, line);
    }
}

TEST_CASE("a path longer than the system's limit is skipped") {
    const Allowlist list =
        Allowlist::parse("f", "a = /" + std::string(4000, 'x') + "\nb = /" + std::string(3999, 'x'));
    CHECK(list.scripts().size() == 1);
    CHECK(list.scripts().count("b") == 1);
    CHECK(list.warnings().size() == 1);
}

TEST_CASE("comments, blanks and CRLF are understood; the last of two lines counts") {
    const Allowlist list =
        Allowlist::parse("f", "\r\n#a = /x\n \t# b = /x\r\n a\t=\t/bin/one \r\na=/bin/two=2\r\n");
    CHECK(paths(list) == std::map<std::string, std::string>{{"a", "/bin/two=2"}});
    CHECK(list.warnings().empty());
}

TEST_CASE("settings follow the path, which may still hold blanks and '='") {
    const Allowlist list = Allowlist::parse("f",
                                            "a = /opt/my script timeout=30s nice=5\n"
                                            "b=/opt/a=b Timeout=3 =x -y=z\ttimeout=1m\n"
                                            "c = /opt/plain\n");
    CHECK(list.warnings().empty());
    CHECK(paths(list) == std::map<std::string, std::string>{{"a", "/opt/my script"},
                                                            {"b", "/opt/a=b Timeout=3 =x -y=z"},
                                                            {"c", "/opt/plain"}});
    CHECK(list.settings("a").timeout == 30s);
    CHECK(list.settings("a").nice == 5);
    CHECK(list.settings("b").timeout == 60s);
    CHECK(list.settings("c") == ScriptSettings());
    CHECK(list.settings("missing") == ScriptSettings());
}

TEST_CASE("a line with settings that are not understood is skipped as a whole, with file, line and remedy") {
    const Allowlist list =
        Allowlist::parse("/etc/scripts.conf", "good = /x nice=1\na = /y timeout=30s usr=backup\n");
    CHECK(paths(list) == std::map<std::string, std::string>{{"good", "/x"}});
    CHECK(list.warnings() ==
          std::vector<std::string>{
              "/etc/scripts.conf:2: a: unknown setting 'usr'; did you mean 'user'?; the line is skipped"});
    CHECK(paths(Allowlist::parse("f", "a = timeout=30s")).empty());
}

TEST_CASE("a script does not run as its earlier line says when the settings of the last one are wrong") {
    const Allowlist list = Allowlist::parse("f", "a = /x\na = /x usr=backup\n");
    CHECK(list.scripts().empty());
    REQUIRE(list.warnings().size() == 1);
    CHECK(mentions(list.warnings()[0],
                   "the earlier line of that name does not count either; the line is skipped"));
    denied(list, "a", {});
    CHECK(paths(Allowlist::parse("f", "a = /x usr=backup\na = /y\n")).at("a") == "/y");
}

TEST_CASE("a script whose user, group or directory is not there is not runnable") {
    const TempDir dir;
    const std::string script = dir.put("script", "#!/bin/sh\n", 0755);
    const auto problem = [&](const std::string& settings) {
        const auto runnable = listing(script + " " + settings).check_runnable("s", {});
        return runnable ? std::string() : runnable.error().text();
    };
    CHECK(problem("timeout=1s cwd=" + dir.path()) == "");
    CHECK(mentions(problem("user=no-such-user"), "'no-such-user' of this script does not exist"));
    CHECK(mentions(problem("group=no-such-group"), "'no-such-group' of this script does not exist"));
    CHECK(mentions(problem("cwd=" + dir / "missing"), "missing of this script is not there"));
    CHECK(mentions(problem("cwd=" + script), "of this script is not there"));
}

TEST_CASE("a script name is letters, digits, '_' and '-' only") {
    for (const auto name : {"a", "A-9_z", "-", "_", "0"}) CHECK_MESSAGE(is_valid_script_name(name), name);
    CHECK(is_valid_script_name(std::string(128, 'n')));
    CHECK_FALSE(is_valid_script_name(std::string(129, 'n')));
    for (const auto name :
         {""sv, "."sv, ".."sv, "a/b"sv, "a.sh"sv, "a b"sv, "a\n"sv, "a\0"sv, "é"sv, "a;b"sv, "\xff"sv}) {
        CHECK_MESSAGE(!is_valid_script_name(name), name);
    }
}

TEST_CASE("a name that is not listed exactly is denied") {
    const Allowlist list = listing("/bin/true");
    approved(list, "s", {}, "/bin/true");
    for (const auto name : {""sv, "S"sv, "s "sv, " s"sv, "ss"sv, "s\0"sv, "s\0x"sv, "/bin/true"sv, "../s"sv,
                            "true"sv, "s\n"sv}) {
        denied(list, name, {});
        denied(list, name, {"/"});
    }
    denied(Allowlist(), "s", {});
}

TEST_CASE("with script_dirs only what really lies below one of them is approved") {
    const TempDir dir;
    const std::string trusted = dir.directory("trusted");
    dir.directory("trusted/sub");
    dir.directory("trusted-too");
    dir.directory("outside");
    for (const auto* name : {"trusted/a", "trusted/sub/b", "trusted-too/c", "outside/d"})
        dir.put(name, "x", 0755);
    approved(listing(dir / "trusted/a"), "s", {trusted}, dir / "trusted/a");
    approved(listing(dir / "trusted/sub/b"), "s", {trusted}, dir / "trusted/sub/b");
    approved(listing(dir / "trusted/sub/../a"), "s", {trusted}, dir / "trusted/sub/../a");
    approved(listing(dir / "trusted/a"), "s", {trusted + "//"}, dir / "trusted/a");
    approved(listing(dir / "trusted/a"), "s", {"/"}, dir / "trusted/a");
    approved(listing(dir / "outside/d"), "s", {dir / "missing", trusted, dir / "outside"}, dir / "outside/d");
    denied(listing(dir / "trusted-too/c"), "s", {trusted});  // a common prefix is no parent
    denied(listing(dir / "outside/d"), "s", {trusted});
    denied(listing(dir / "trusted/../outside/d"), "s", {trusted});
    denied(listing(dir / "trusted/sub/../../outside/d"), "s", {trusted});
    denied(listing(trusted), "s", {trusted});
    denied(listing(dir / "trusted/a"), "s", {dir / "trusted/a"});
    denied(listing(dir / "trusted/a"), "s", {dir / "trusted/sub"});
    denied(listing(dir / "trusted/missing"), "s", {trusted});
    denied(listing(dir / "trusted/a/x"), "s", {trusted});
    denied(listing(dir / "trusted/a"), "s", {dir / "missing"});
    denied(listing(dir / "trusted/a"), "s", {""});
}

TEST_CASE("a symlink cannot lead out of script_dirs") {
    const TempDir dir;
    const std::string trusted = dir.directory("trusted");
    dir.directory("outside");
    dir.put("trusted/real", "x", 0755);
    dir.put("outside/evil", "x", 0755);
    dir.link("trusted/absolute", dir / "outside/evil");
    dir.link("trusted/relative", "../outside/evil");
    dir.link("trusted/chain", "relative");
    dir.link("trusted/door", "../outside");
    dir.link("trusted/loop", "loop");
    dir.link("trusted/dangling", "nowhere");
    dir.link("trusted/inside", "real");
    dir.link("trusted/root", "/");
    for (const auto* name :
         {"absolute", "relative", "chain", "door/evil", "loop", "dangling", "door", "root/bin/sh"}) {
        denied(listing(dir / "trusted/" + name), "s", {trusted});
    }
    approved(listing(dir / "trusted/inside"), "s", {trusted}, dir / "trusted/inside");
}

TEST_CASE("a trusted directory that is a symlink itself counts as what it leads to") {
    const TempDir dir;
    dir.directory("real");
    dir.put("real/a", "x", 0755);
    dir.link("alias", dir / "real");
    approved(listing(dir / "real/a"), "s", {dir / "alias"}, dir / "real/a");
    approved(listing(dir / "alias/a"), "s", {dir / "real"}, dir / "alias/a");
}

TEST_CASE("script_dirs are looked at when the script runs, not before") {
    const TempDir dir;
    const std::string trusted = dir.directory("trusted");
    const Allowlist list = listing(dir / "trusted/a");
    denied(list, "s", {trusted});
    dir.put("trusted/a", "x", 0755);
    approved(list, "s", {trusted}, dir / "trusted/a");
    REQUIRE(::unlink((dir / "trusted/a").c_str()) == 0);
    dir.link("trusted/a", "/bin/sh");
    denied(list, "s", {trusted});
}

TEST_CASE("an allowlist that cannot be read is a configuration error, never an empty list") {
    const TempDir dir;
    for (const std::string& path : {dir / "missing", dir.directory("directory"),
                                    dir.put("big", std::string(max_config_bytes + 1, '#'))}) {
        const auto list = Allowlist::load(path);
        REQUIRE_MESSAGE(!list, path);
        CHECK(list.error().code == Errc::config);
        CHECK(mentions(list.error().message, path));
    }
    CHECK(Allowlist::load(dir.put("empty", ""))->scripts().empty());
}
