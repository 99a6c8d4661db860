#include "core/host_groups.h"

#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

std::string problem_of(std::string_view text) {
    const auto groups = HostGroups::parse("groups.conf", text);
    REQUIRE_MESSAGE(!groups, std::string(text));
    CHECK(groups.error().code == Errc::config);
    return groups.error().message;
}

std::string words_of(const HostGroups& groups, const std::string& name) {
    const auto words = groups.words_of(name);
    REQUIRE(words);
    std::string text;
    for (const auto& word : *words) text += (text.empty() ? "" : " ") + word.text;
    return text;
}

}  // namespace

TEST_CASE("a group comes to its words and those of the groups in it, in order, each group once") {
    const auto groups = HostGroups::parse("groups.conf",
                                          "# of the shop\n"
                                          "web = web-* old-web:7500\n"
                                          "all-of-it = @db x @web @db tag:env=prod\n"
                                          "db=db-01\t[::1]:7443  \n");
    REQUIRE(groups);
    CHECK(words_of(*groups, "web") == "web-* old-web:7500");
    CHECK(words_of(*groups, "all-of-it") == "db-01 [::1]:7443 x web-* old-web:7500 tag:env=prod");
}

TEST_CASE("what is wrong with a groups file is named with its line") {
    CHECK(problem_of("a = x\nb = web 01 -y\n") ==
          "groups.conf:2: group b: '-y' is no host: a name may hold letters, digits, '.', '-' and '_'");
    CHECK(problem_of("a = @b\n") ==
          "groups.conf:1: group a: there is no group b; add it, or correct the name");
    CHECK(problem_of("a =\n") == "groups.conf:1: group a is empty; name its hosts, or remove the line");
    CHECK(problem_of("a = x\n\na = y\n") ==
          "groups.conf:3: group a is there already, on line 1; give one of them another name");
    CHECK(problem_of("[web]\na = x\n").starts_with("groups.conf:2: sections mean nothing here"));
    CHECK(problem_of("a b = x\n").starts_with("groups.conf:1: expected 'key = value'"));
    CHECK(problem_of("a = x\ny\n").starts_with("groups.conf:2: "));
}

TEST_CASE("a group that holds itself, at whatever distance, is refused") {
    CHECK(problem_of("a = @a\n") == "groups.conf:1: group a holds itself; take it out of the groups in it");
    CHECK(problem_of("a = x @b\nb = @c\nc = y @a\n").find("holds itself") != std::string::npos);
    CHECK(problem_of("start = @b\nb = @c\nc = @b\n").find("group b holds itself") != std::string::npos);
}

TEST_CASE("groups are nested 32 deep at most, in whatever order they are looked at") {
    const auto chain = [](int length, bool upwards) {
        std::string text;
        for (int i = 1; i <= length; ++i) {
            const auto name = [&](int at) {
                return "g" + std::to_string(1000 + (upwards ? at : length - at));
            };
            text += name(i) + " = " + (i == length ? std::string("x") : "@" + name(i + 1)) + "\n";
        }
        return text;
    };
    for (const bool upwards : {true, false}) {
        CHECK(HostGroups::parse("groups.conf", chain(32, upwards)));
        CHECK(problem_of(chain(33, upwards)).find("more than 32 groups in one another") != std::string::npos);
        CHECK(problem_of(chain(20'000, upwards)).find("more than 32") != std::string::npos);
    }
}

TEST_CASE("an unknown group is the caller's mistake, and may be a mistyped one") {
    const auto groups = HostGroups::parse("groups.conf", "webs = x\n");
    REQUIRE(groups);
    CHECK(groups->words_of("web").error().message == "there is no group web; did you mean @webs?");
    CHECK(groups->words_of("databases").error().message ==
          "there is no group databases; define it in groups.conf");
    CHECK(groups->words_of("web").error().code == Errc::usage);
}

TEST_CASE("only a file that was asked for must exist") {
    const TempDir directory;
    const std::string path = directory.path() + "/groups.conf";
    CHECK(HostGroups::load(path, false)->all().empty());
    const auto missing = HostGroups::load(path, true);
    REQUIRE(!missing);
    CHECK(missing.error().code == Errc::config);
    CHECK(missing.error().message.find(path) != std::string::npos);
    std::ofstream(path) << "a = x\n";
    CHECK(HostGroups::load(path, false)->all().size() == 1);
    std::ofstream(path) << "a = " << std::string(2'000'000, 'x') << "\n";
    CHECK(HostGroups::load(path, false).error().code == Errc::config);
}
