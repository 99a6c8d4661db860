#include "core/output_cap.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "core/json.h"
#include "core/utf8.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using ctrlexec::testing::mentions;

namespace {

constexpr std::size_t limit = 2000;

std::size_t written(const std::string& text) {
    return json::dump(json::Value(text)).size();
}

std::string repeated(const std::string& unit, std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += unit;
    return text;
}

}  // namespace

TEST_CASE("output that fits is not changed") {
    std::string output(1500, 'x');
    std::string errors(496, 'y');  // and two pairs of quotes
    cap_output(output, errors, limit);
    CHECK(output == std::string(1500, 'x'));
    CHECK(errors == std::string(496, 'y'));
}

TEST_CASE("output that does not fit is cut with a mark, whatever it consists of") {
    for (const std::string unit : {"x", "\n", "\x01", "\"", "é", "€", "😀", "a😀", "\xff", "\xf0\x9f"}) {
        for (const std::size_t size : {2001u, 5000u, 300'000u}) {
            std::string output = repeated(unit, size);
            std::string errors = "small";
            const std::string whole = to_utf8(output);
            cap_output(output, errors, limit);
            CHECK_MESSAGE(written(output) + written(errors) <= limit, unit);
            CHECK(is_utf8(output));
            CHECK(errors == "small");
            const auto mark =
                output.find("\n[ctrl-exec: cut here; " + std::to_string(whole.size()) + " bytes in all]\n");
            REQUIRE_MESSAGE(mark != std::string::npos, unit);
            CHECK(whole.compare(0, mark, output, 0, mark) == 0);
            CHECK(written(output) > limit / 2);  // no more is lost than must be
        }
    }
}

TEST_CASE("both streams keep their beginning when both are long") {
    std::string output = repeated("out ", 100'000);
    std::string errors = repeated("err ", 90'000);
    cap_output(output, errors, limit);
    CHECK(written(output) + written(errors) <= limit);
    CHECK(output.rfind("out out ", 0) == 0);
    CHECK(errors.rfind("err err ", 0) == 0);
    CHECK(mentions(output, "100000 bytes in all"));
    CHECK(mentions(errors, "90000 bytes in all"));
}

TEST_CASE("random output of any size fits after the cut") {
    std::mt19937 random(29);
    for (int i = 0; i < 300; ++i) {
        std::string streams[2];
        for (auto& stream : streams) {
            stream.resize(random() % 6000);
            const unsigned range = 1u << (1 + random() % 8);
            for (char& c : stream) c = static_cast<char>(random() % range);
        }
        cap_output(streams[0], streams[1], limit);
        REQUIRE(written(streams[0]) + written(streams[1]) <= limit);
        REQUIRE(is_utf8(streams[0]));
        REQUIRE(is_utf8(streams[1]));
    }
}

TEST_CASE(
    "capabilities that are too long for an old dispatcher lose scripts and tags from the end, visibly") {
    using ctrlexec::cap_capabilities;
    namespace json = ctrlexec::json;
    const auto answer = [](int scripts, int tags) {
        json::Array list;
        for (int i = 0; i < scripts; ++i)
            list.emplace_back(json::Object{{"name", "script-" + std::to_string(i)}});
        json::Object map;
        for (int i = 0; i < tags; ++i) map.push_back({"tag-" + std::to_string(i), "value"});
        return json::Value(
            json::Object{{"status", "ok"}, {"scripts", std::move(list)}, {"tags", std::move(map)}});
    };
    for (const auto& [scripts, tags] : {std::pair(500, 0), {0, 500}, {500, 500}}) {
        json::Value body = answer(scripts, tags);
        cap_capabilities(body, 4096);
        CHECK(json::dump(body).size() <= 4096);
        CHECK(body.text("status") == "ok");
        CHECK(body.find("scripts")->if_array()->size() + body.find("tags")->if_object()->size() > 10);
        CHECK(*body.find("truncated")->if_bool());
    }
    json::Value small = answer(2, 2);
    const std::string before = json::dump(small);
    cap_capabilities(small, 4096);
    CHECK(json::dump(small) == before);
    json::Value hopeless = answer(0, 0);
    cap_capabilities(hopeless, 1);
    CHECK(hopeless.text("status") == "ok");
}
