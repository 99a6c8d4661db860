#include "core/tag_cache.h"

#include <doctest/doctest.h>

#include <string>

using namespace ctrlexec;

namespace {

const TagCache::Time start{std::chrono::hours(1)};

Tags tags_in(const std::string& answer) {
    const auto value = json::parse(answer, 1u << 20);
    REQUIRE(value);
    return tags_of(*value);
}

}  // namespace

TEST_CASE("tags are the members of 'tags' in an agent's answer") {
    const Tags tags = tags_in(R"({"host":"x","tags":{"env":"prod","rack":7}})");
    REQUIRE(tags.size() == 2);
    CHECK(tags[0] == std::make_pair(std::string("env"), std::string("prod")));
    CHECK(tags[1] == std::make_pair(std::string("rack"), std::string("7")));
    for (const char* none : {"{}", R"({"tags":null})", R"({"tags":["env"]})", R"({"tags":"env"})", "[]"})
        CHECK_MESSAGE(tags_in(none).empty(), none);
}

TEST_CASE("an agent that sends many or long tags is not listened to for ever") {
    std::string many = R"({"tags":{)";
    for (int i = 0; i < 100; ++i) many += "\"" + std::to_string(i) + "\":\"x\",";
    CHECK(tags_in(many + R"("z":"x"}})").size() == 64);
    const Tags tags = tags_in(R"({"tags":{"long":")" + std::string(300, 'x') + R"(","env":"prod"}})");
    REQUIRE(tags.size() == 1);
    CHECK(tags[0].first == "env");
}

TEST_CASE("tags are known for five minutes, and then not any more") {
    TagCache cache;
    CHECK(cache.find("web-01", start) == nullptr);
    cache.put("web-01", Tags{{"env", "prod"}}, start);
    REQUIRE(cache.find("web-01", start + std::chrono::seconds(299)) != nullptr);
    CHECK(cache.find("web-01", start + std::chrono::seconds(299))->front().second == "prod");
    CHECK(cache.find("web-01", start + std::chrono::minutes(5)) == nullptr);
    CHECK(cache.find("web-02", start) == nullptr);
    cache.put("web-01", Tags{}, start);
    REQUIRE(cache.find("web-01", start) != nullptr);
    CHECK(cache.find("web-01", start)->empty());
    cache.clear();
    CHECK(cache.find("web-01", start) == nullptr);
}

TEST_CASE("a full tag cache forgets what is too old, else the oldest host") {
    TagCache cache;
    cache.put("oldest", Tags{}, start);
    for (std::size_t i = 1; i < TagCache::max_hosts; ++i)
        cache.put("host-" + std::to_string(i), Tags{}, start + std::chrono::seconds(1));
    cache.put("new", Tags{}, start + std::chrono::seconds(2));
    CHECK(cache.size() == TagCache::max_hosts);
    CHECK(cache.find("oldest", start) == nullptr);
    CHECK(cache.find("host-1", start) != nullptr);
    cache.put("later", Tags{}, start + std::chrono::minutes(5) + std::chrono::seconds(1));
    CHECK(cache.size() == 2);
    CHECK(cache.find("new", start) != nullptr);
}

TEST_CASE("what was assigned goes over what the agent says") {
    const Tags said{{"env", "dev"}, {"role", "web"}};
    CHECK(with_assigned(said, {{"env", "prod"}}) == Tags{{"role", "web"}, {"env", "prod"}});
    CHECK(with_assigned(said, {}) == said);
    CHECK(tags_json({{"a", "1"}}).scalar("a") == "1");
}
