#include "core/tag_store.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "core/file.h"
#include "core/registry.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

struct Store {
    Store() {
        config.state_dir = directory.path();
        for (const std::string name : {"web-01", "web-02"}) {
            AgentRecord record;
            record.hostname = name;
            REQUIRE(Registry(config.agents_dir()).save(record));
        }
    }
    TagStore store() const { return TagStore(config); }
    std::string path() const { return directory.path() + "/tags.json"; }
    void write(std::string_view text) const { std::ofstream(path()) << text; }

    TempDir directory;
    DispatcherConfig config;
};

}  // namespace

TEST_CASE("tags of registered agents are kept until there are new ones") {
    const Store at;
    CHECK(at.store().load()->empty());
    REQUIRE(at.store().update({{"web-01", {{"env", "prod"}}}, {"stranger", {{"env", "prod"}}}}, 1000));
    REQUIRE(at.store().update({{"web-02", {}}}, 1001));
    auto tags = at.store().load();
    REQUIRE(tags);
    CHECK(tags->size() == 2);
    CHECK(tags->at("web-01") == Tags{{"env", "prod"}});
    CHECK(tags->at("web-02").empty());
    REQUIRE(at.store().update({{"web-01", {{"env", "staging"}}}}, 1002));
    CHECK(at.store().load()->at("web-01") == Tags{{"env", "staging"}});
    CHECK(*read_file(at.path(), 10'000) ==
          R"({"agents":{"web-02":{"seen":1001,"tags":{}},"web-01":{"seen":1002,"tags":{"env":"staging"}}}})");
    struct stat status {};
    REQUIRE(::stat(at.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0644);
}

TEST_CASE("who is not registered any more is forgotten") {
    const Store at;
    REQUIRE(at.store().update({{"web-01", {{"a", "1"}}}, {"web-02", {{"a", "2"}}}}, 1000));
    REQUIRE(Registry(at.config.agents_dir()).remove("web-01"));
    REQUIRE(at.store().update({{"web-02", {{"a", "3"}}}}, 1000));
    CHECK(at.store().load()->size() == 1);
}

TEST_CASE("a damaged file is an error for who reads it, and is made anew by the next discovery") {
    const Store at;
    for (const std::string_view text :
         {"", "{", "[]", "{}", R"({"agents":[]})", R"({"agents":{"a":1,"a":2}})"}) {
        at.write(text);
        const auto tags = at.store().load();
        REQUIRE_MESSAGE(!tags, text);
        CHECK(tags.error().message.find("remove it") != std::string::npos);
        REQUIRE(at.store().update({{"web-01", {{"a", "1"}}}}, 1000));
        CHECK(at.store().load()->size() == 1);
    }
    at.write(R"({"agents":{"web-01":7,"web-02":{"tags":[1]}}})");
    CHECK(at.store().load()->at("web-01").empty());
    CHECK(at.store().load()->at("web-02").empty());
}

TEST_CASE("an agent that has too much to say is cut short") {
    const Store at;
    Tags many;
    for (int i = 0; i < 64; ++i) many.emplace_back("key" + std::to_string(i), std::string(200, 'x'));
    REQUIRE(at.store().update({{"web-01", many}}, 1000));
    CHECK(read_file(at.path(), 100'000)->size() < 6000);
    CHECK(at.store().load()->at("web-01").size() == 20);
}
