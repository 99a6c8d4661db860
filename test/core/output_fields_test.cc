#include "core/output_fields.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>

#include "core/utf8.h"

using namespace ctrlexec;
using namespace std::string_literals;

namespace {

json::Value with_output(std::string bytes) {
    json::Value object{json::Object{}};
    set_output(object, "stdout", std::move(bytes));
    return object;
}

}  // namespace

TEST_CASE("text is one member, other bytes are two") {
    CHECK(json::dump(with_output("")) == R"({"stdout":""})");
    CHECK(json::dump(with_output("é\n")) == R"({"stdout":"é\n"})");
    CHECK(json::dump(with_output("a\0b"s)) == R"({"stdout":"a\u0000b"})");
    CHECK(json::dump(with_output("a\xff")) == "{\"stdout\":\"a\ufffd\",\"stdout_b64\":\"Yf8=\"}");
}

TEST_CASE("any bytes come back exactly through JSON text") {
    std::mt19937 random(23);
    for (int i = 0; i < 2000; ++i) {
        std::string bytes(random() % 30, '\0');
        const unsigned range = i % 2 == 0 ? 0x80 : 0x100;
        for (char& c : bytes) c = static_cast<char>(random() % range);
        const json::Value object = with_output(bytes);
        REQUIRE((object.find("stdout_b64") == nullptr) == is_utf8(bytes));
        auto again = json::parse(json::dump(object), 10'000);
        REQUIRE(again);
        REQUIRE(take_output(*again, "stdout") == bytes);
    }
}

TEST_CASE("broken base64 of a peer leaves the readable text") {
    const auto output = [](std::string_view text) {
        auto object = json::parse(text, 1000);
        return take_output(*object, "stdout");
    };
    CHECK(output(R"({"stdout":"text","stdout_b64":"!!"})") == "text");
    CHECK(output(R"({"stdout":"text","stdout_b64":"YQ"})") == "text");
    CHECK(output(R"({"stdout":"text","stdout_b64":""})") == "text");
    CHECK(output(R"({"stdout":"text","stdout_b64":7})") == "text");
    CHECK(output(R"({"stdout_b64":"YQ=="})") == "a");
    CHECK(output(R"({"stdout":12})") == "12");
    CHECK(output(R"({"stderr":"x"})") == "");
}
