#include "core/target_selection.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "core/target.h"

using namespace ctrlexec;

namespace {

Inventory shop() {
    Inventory inventory;
    inventory.agents = {"db-01", "db-02", "web-01", "web-02", "web-10"};
    inventory.tags["db-01"] = {{"env", "production"}, {"role", "db"}};
    inventory.tags["db-02"] = {{"env", "staging"}};
    inventory.tags["web-01"] = {{"env", "production"}};
    inventory.tags["web-02"] = {};
    inventory.groups = *HostGroups::parse("groups.conf",
                                          "front = web-0* gate:8000\n"
                                          "shop = @front db-01 tag:env=production\n"
                                          "ports = a:1 a:2 a a:1\n"
                                          "hollow = nothing-*\n");
    return inventory;
}

Result<SelectedTargets> selected(std::vector<std::string> words, std::string_view excluded = {},
                                 std::size_t limit = 0, int port = 0) {
    TRY(TargetSelection selection, TargetSelection::parse(words, excluded, port));
    selection.limit = limit;
    return select_targets(selection, shop());
}

std::string text_of(const Result<SelectedTargets>& selected) {
    if (!selected) return selected.error().message;
    std::string text;
    for (const auto& [host, port] : selected->targets) {
        text += (text.empty() ? "" : " ") + (port == 0 ? host : host_port(host, port));
    }
    return text;
}

std::string targets(std::vector<std::string> words, std::string_view excluded = {}, std::size_t limit = 0,
                    int port = 0) {
    return text_of(selected(std::move(words), excluded, limit, port));
}

std::string notes(std::vector<std::string> words, std::string_view excluded = {}) {
    std::string text;
    const auto found = selected(std::move(words), excluded);
    REQUIRE(found);
    for (const auto& note : found->notes) text += note + "\n";
    return text;
}

}  // namespace

TEST_CASE("hosts stay as they were typed, patterns select registered agents by name") {
    CHECK(targets({"z", "a:7500"}) == "z a:7500");
    CHECK(targets({"z", "web-*", "a"}) == "z web-01 web-02 web-10 a");
    CHECK(targets({"*-01"}) == "db-01 web-01");
    CHECK(targets({"web-0?"}) == "web-01 web-02");
    CHECK(targets({"all"}) == "db-01 db-02 web-01 web-02 web-10");
    CHECK(targets({"tag:env"}) == "db-01 db-02 web-01");
    CHECK(targets({"tag:env=prod*"}) == "db-01 web-01");
    CHECK(targets({"@front"}) == "web-01 web-02 gate:8000");
}

TEST_CASE("the port that is the default counts where none is named") {
    CHECK(targets({"z", "a:1", "web-*", "@front"}, "", 0, 9000) ==
          "z:9000 a:1 web-01:9000 web-02:9000 web-10:9000 gate:8000");
}

TEST_CASE("who is selected several times counts once, at the port that was named") {
    CHECK(targets({"web-*", "*-01", "all"}) == "web-01 web-02 web-10 db-01 db-02");
    CHECK(targets({"web-*", "web-02"}) == "web-01 web-10 web-02");
    CHECK(targets({"web-*", "web-02:7500"}) == "web-01 web-10 web-02:7500");
    CHECK(targets({"web-02:7500", "web-02:7501", "web-*"}) == "web-02:7500 web-02:7501 web-01 web-10");
    CHECK(targets({"@shop", "@front", "gate:9"}) == "web-01 web-02 db-01 gate:9");
    CHECK(targets({"@ports"}) == "a:1 a:2");
}

TEST_CASE("a host that is typed twice is still refused") {
    CHECK(targets({"a", "a"}) == "'a' is named twice");
    CHECK(targets({"a", "web-*", "a:1"}) == "'a:1' is named twice");
}

TEST_CASE("a word that selects nobody is an error, whatever the others select") {
    for (const std::string word : {"nothing-*", "tag:env=x", "tag:nothing", "@hollow"}) {
        const auto nobody = selected({"web-01", word});
        REQUIRE(!nobody);
        CHECK(nobody.error().code == Errc::usage);
        CHECK(nobody.error().message.starts_with(word + " selects nobody"));
    }
    CHECK(targets({"tag:env=x"}).find("the tags of 1 agent are not known") != std::string::npos);
    const auto selection = TargetSelection::parse(std::vector<std::string>{"all"}, "", 0);
    CHECK(select_targets(*selection, Inventory()).error().message ==
          "all selects nobody: no agent is registered");
}

TEST_CASE("an excluded word takes away whom it names or matches") {
    CHECK(targets({"all"}, "web-*") == "db-01 db-02");
    CHECK(targets({"all"}, "db-01,tag:env=production") == "db-02 web-02 web-10");
    CHECK(targets({"all", "gate", "gate2"}, "@front") == "db-01 db-02 web-10 gate gate2");
    CHECK(targets({"a:1", "a:2", "b"}, "a:2") == "a:1 b");
    CHECK(targets({"a:1", "a:2", "b"}, "a") == "b");
    CHECK(targets({"x", "web-01"}, "all") == "x");
    CHECK(targets({"x", "y"}, "?") == "nobody is left: --exclude excludes all that are selected");
    CHECK(targets({"x"}, "@nope").starts_with("there is no group nope"));
    CHECK(targets({"x"}, "y,,z").find("is no host") != std::string::npos);
}

TEST_CASE("a limit takes the first by name of those that are left") {
    CHECK(targets({"web-*", "all"}, "", 2) == "db-01 db-02");
    CHECK(targets({"z", "a"}, "", 1) == "a");
    CHECK(targets({"all"}, "db-01", 1) == "db-02");
    CHECK(targets({"z", "a"}, "", 5) == "a z");
}

TEST_CASE("what nobody can know by looking at the result is said") {
    CHECK(notes({"all"}).empty());
    CHECK(notes({"tag:env"}).find("the tags of 1 agent are not known") == 0);
    CHECK(notes({"@shop"}).find("the tags of 1 agent are not known") == 0);
    CHECK(notes({"all"}, "tag:env=staging").find("the tags of 1 agent are not known") == 0);
    CHECK(notes({"web-*"}, "wbe-01,web-02") == "--exclude wbe-01 excludes nobody\n");
}

TEST_CASE("ten thousand hosts are selected and excluded in no time") {
    Inventory inventory;
    std::vector<std::string> words;
    std::string excluded;
    for (int i = 10'000; i < 20'000; ++i) {
        inventory.agents.push_back("agent-" + std::to_string(i));
        inventory.tags[inventory.agents.back()] = {{"n", std::to_string(i)}};
        words.push_back("host-" + std::to_string(i));
        excluded += (excluded.empty() ? "" : ",") + inventory.agents.back();
    }
    words.emplace_back("all");
    words.emplace_back("tag:n=1*");
    const auto start = std::chrono::steady_clock::now();
    const auto selection = TargetSelection::parse(words, excluded, 0);
    REQUIRE(selection);
    const auto selected = select_targets(*selection, inventory);
    REQUIRE(selected);
    CHECK(selected->targets.size() == 10'000);
    // Of a build without optimisation, with sanitizers: what is quadratic takes minutes.
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}
