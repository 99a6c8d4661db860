#include "core/trusted_dispatchers.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "crypto_fixture.h"

namespace ctrlexec {
namespace {

constexpr std::int64_t now = 1'800'000'000;

struct Files {
    test::TempDir directory;
    std::string path() const { return directory.file("ctrl-exec-serial"); }
    void serial(const std::string& text) const { directory.put("ctrl-exec-serial", text, 0644); }
    void document(const std::string& text) const { directory.put("dispatchers.json", text, 0644); }
    TrustedDispatchers load() const {
        auto loaded = TrustedDispatchers::load(path());
        REQUIRE_MESSAGE(loaded, (loaded ? "" : loaded.error().text()));
        return *loaded;
    }
    std::string refusal() const {
        const auto loaded = TrustedDispatchers::load(path());
        REQUIRE_FALSE(loaded);
        CHECK(loaded.error().code == Errc::config);
        return loaded.error().text();
    }
};

std::string owner(const TrustedDispatchers& trusted, const std::string& serial, std::int64_t time = now) {
    const auto* found = trusted.find(serial, time);
    return found == nullptr ? "" : found->id;
}

SerialRotation announce(const std::string& serial) {
    SerialRotation rotation;
    rotation.serial = serial;
    return rotation;
}

struct TwoDispatchers : Files {
    TwoDispatchers() {
        TrustedDispatchers trusted;
        REQUIRE(trusted.pair("first", "0a", now));
        REQUIRE(trusted.pair("second", "0b", now));
        REQUIRE(trusted.store(path()));
    }
};

Result<SerialRotation> parse(const std::string& text) {
    return SerialRotation::from_json(*json::parse(text, 1u << 20));
}

}  // namespace

TEST_CASE("the single serial of an old installation is trusted, as dispatcher legacy") {
    const Files files;
    CHECK(files.load().empty());
    files.serial(" 0A \n");
    CHECK(owner(files.load(), "0a") == "legacy");
    files.serial("\n");
    CHECK(files.load().empty());
    files.serial("ctrl-exec\n");
    CHECK(files.refusal().ends_with(
        "ctrl-exec-serial: not a certificate serial in hex; pair this agent again"));
}

TEST_CASE("pairing adds a dispatcher, and the serial file names the last one") {
    const TwoDispatchers files;
    const auto trusted = files.load();
    CHECK(owner(trusted, "0a") == "first");
    CHECK(owner(trusted, "0b") == "second");
    CHECK(owner(trusted, "0c").empty());
    CHECK(files.directory.content("ctrl-exec-serial") == "0b\n");
    CHECK(files.directory.mode("dispatchers.json") == 0644);
}

TEST_CASE("pairing again replaces the serials of that dispatcher only") {
    TrustedDispatchers trusted = TwoDispatchers().load();
    REQUIRE(trusted.pair("first", "0c", now));
    CHECK(owner(trusted, "0a").empty());
    CHECK(owner(trusted, "0b") == "second");
    CHECK(owner(trusted, "0c") == "first");
    REQUIRE(trusted.pair("first", "", now));
    CHECK(trusted.all().size() == 1);
}

TEST_CASE("a dispatcher that tells its id takes over what was known of it without one") {
    const Files files;
    files.serial("0a\n");
    TrustedDispatchers trusted = files.load();
    SUBCASE("by pairing with the same certificate") {
        REQUIRE(trusted.pair("first", "0a", now));
        CHECK(trusted.all().size() == 1);
    }
    SUBCASE("by a rotation") {
        SerialRotation rotation = announce("0b");
        rotation.id = "first";
        REQUIRE(trusted.rotate("0a", rotation, now));
        CHECK(owner(trusted, "0b") == "first");
    }
    SUBCASE("but another one is added") {
        REQUIRE(trusted.pair("second", "0b", now));
        CHECK(owner(trusted, "0b") == "second");
        REQUIRE(trusted.pair("legacy-0123456789ab", "0c", now));  // again without an id
        CHECK(owner(trusted, "0a").empty());
        CHECK(owner(trusted, "0b") == "second");
        return;
    }
    CHECK(owner(trusted, "0a") == "first");
}

TEST_CASE("what somebody else writes into the serial file counts as it did before") {
    const TwoDispatchers files;
    SUBCASE("nothing: nobody is trusted, and pairing begins anew") {
        files.serial("");
        TrustedDispatchers trusted = files.load();
        CHECK(trusted.empty());
        CHECK(trusted.emptied());
        REQUIRE(trusted.pair("third", "0c", now));
        REQUIRE(trusted.store(files.path()));
        CHECK(files.load().all().size() == 1);
    }
    SUBCASE("an unknown serial takes the place of the dispatcher named before") {
        files.serial("0d\n");
        const auto trusted = files.load();
        CHECK(owner(trusted, "0a") == "first");
        CHECK(owner(trusted, "0b").empty());
        CHECK(owner(trusted, "0d") == "legacy");
    }
    SUBCASE("a known serial changes nothing") {
        files.serial("0A\n");
        CHECK(files.load().all().size() == 2);
    }
}

TEST_CASE("a kill between the two files leaves the new state") {
    const TwoDispatchers files;
    const auto killed = [&](const TrustedDispatchers& trusted) {
        REQUIRE(trusted.store(files.path()));
        files.serial("0b\n");  // as it was
        return files.load();
    };
    TrustedDispatchers trusted = files.load();
    SUBCASE("of a removal") {
        CHECK(trusted.remove("second"));
        const auto left = killed(trusted);
        CHECK(left.all().size() == 1);
        CHECK(owner(left, "0b").empty());
    }
    SUBCASE("of a rotation that retires the old serial") {
        SerialRotation rotation = announce("0c");
        rotation.retire.push_back("0b");
        REQUIRE(trusted.rotate("0b", rotation, now));
        const auto left = killed(trusted);
        CHECK(owner(left, "0c") == "second");
        CHECK(owner(left, "0b").empty());
    }
}

TEST_CASE("a dispatcher announces its next serial and keeps the one it asks with") {
    TrustedDispatchers trusted = TwoDispatchers().load();
    REQUIRE(trusted.rotate("0a", announce("01"), now));
    CHECK(owner(trusted, "0a") == "first");
    CHECK(owner(trusted, "01") == "first");
    CHECK(trusted.newest() == "01");
    REQUIRE(trusted.rotate("0a", announce("02"), now));  // a rotation that was begun anew
    CHECK(owner(trusted, "0a") == "first");
    CHECK(owner(trusted, "01").empty());
    CHECK(owner(trusted, "02") == "first");
    REQUIRE(trusted.rotate("02", announce("02"), now));
    CHECK(owner(trusted, "0a") == "first");
    CHECK(owner(trusted, "0b") == "second");
}

TEST_CASE("the old serial is trusted until the time that was told, and no second longer") {
    TrustedDispatchers trusted = TwoDispatchers().load();
    SerialRotation rotation = announce("0c");
    rotation.until = now + 100;
    REQUIRE(trusted.rotate("0b", rotation, now));
    CHECK(owner(trusted, "0b", now + 99) == "second");
    CHECK(owner(trusted, "0b", now + 100).empty());
    CHECK(owner(trusted, "0c", now + 100) == "second");
    rotation.until = now + 200;  // told again: it gets no longer
    REQUIRE(trusted.rotate("0c", rotation, now));
    CHECK(owner(trusted, "0b", now + 100).empty());
    rotation.until = now;
    REQUIRE(trusted.rotate("0c", rotation, now));
    CHECK(trusted.all().back().serials.size() == 1);
}

TEST_CASE("nobody touches the serials of another dispatcher") {
    TrustedDispatchers trusted = TwoDispatchers().load();
    CHECK(trusted.rotate("0a", announce("0b"), now).error().code == Errc::denied);
    CHECK(trusted.rotate("0f", announce("0e"), now).error().code == Errc::denied);
    SerialRotation rotation = announce("0c");
    rotation.id = "second";
    rotation.retire = {"0b", "0c"};
    REQUIRE(trusted.rotate("0a", rotation, now));
    CHECK(owner(trusted, "0b") == "second");
    CHECK(owner(trusted, "0c") == "first");
}

TEST_CASE("a dispatcher has at most four serials, and there are at most sixteen dispatchers") {
    TrustedDispatchers trusted;
    for (int i = 0; i < 16; ++i) REQUIRE(trusted.pair(fmt::format("d{}", i), fmt::format("{:02x}", i), now));
    const auto full = trusted.pair("one-more", "ff", now);
    CHECK(full.error().code == Errc::busy);
    CHECK(full.error().message.find("dispatchers remove ID") != std::string::npos);
    REQUIRE(trusted.pair("d3", "aa", now));
    for (int i = 0; i < 10'000; ++i) {
        SerialRotation rotation = announce(fmt::format("{:06x}", 0xb00000 + i));
        rotation.until = now + 1000;
        REQUIRE(trusted.rotate("aa", rotation, now));
    }
    CHECK(trusted.all().back().serials.size() == 4);
    CHECK(owner(trusted, "aa") == "d3");
    const Files files;
    REQUIRE(trusted.store(files.path()));
    CHECK(files.load().all().size() == 16);
}

TEST_CASE("a broken list of dispatchers is refused with its name and the remedy") {
    Files files;
    files.serial("0a\n");
    std::string many;
    for (int i = 0; i < 17; ++i)
        many += fmt::format(R"({}{{"id":"d{}","serials":[]}})", i == 0 ? "" : ",", i);
    const std::string serial = R"({"serial":"0a"})";
    for (const std::string& text :
         {std::string(), std::string("{"), std::string("[]"), std::string("null"),
          std::string(R"({"dispatchers":1})"), "{\"dispatchers\":[" + many + "]}",
          std::string(R"({"dispatchers":[{"id":"../x","serials":[]}]})"),
          std::string(R"({"dispatchers":[{"id":"x"}]})"),
          std::string(R"({"dispatchers":[{"id":"x","serials":[1]}]})"),
          R"({"dispatchers":[{"id":"x","serials":[)" + serial + "," + serial + "," + serial + "," + serial +
              "," + serial + "]}]}",
          std::string(R"({"dispatchers":[{"id":"x","serials":[]},{"id":"x","serials":[]}]})"),
          R"({"dispatchers":[{"id":"x","serials":[)" + serial + R"(]},{"id":"y","serials":[)" + serial +
              "]}]}",
          std::string(R"({"dispatchers":[{"id":"x","serials":[{"serial":"0a","until":"soon"}]}]})"),
          "{\"dispatchers\":[],\"x\":\"" + std::string(70'000, 'x') + "\"}"}) {
        CAPTURE(text.substr(0, 100));
        files.document(text);
        CHECK(files.refusal().find("dispatchers.json") != std::string::npos);
    }
}

TEST_CASE("what a dispatcher announces is checked before anything changes") {
    CHECK(parse(R"({"serial":"00FF","dispatcher_id":"x","until":5,"retire":["0A"]})")->retire[0] == "0a");
    CHECK(parse(R"({"serial":"00FF","until":null,"retire":null})")->serial == "ff");
    std::string many = "\"0a\"";
    for (int i = 0; i < 10'000; ++i) many += ",\"0a\"";
    for (const std::string& text :
         {std::string("{}"), std::string("[]"), std::string("7"), std::string(R"({"serial":"xyz"})"),
          std::string(R"({"serial":""})"), std::string(R"({"serial":12})"),
          R"({"serial":")" + std::string(41, '7') + "\"}",
          std::string(R"({"serial":"0a","dispatcher_id":"a b"})"),
          std::string(R"({"serial":"0a","until":"soon"})"), std::string(R"({"serial":"0a","until":-1})"),
          std::string(R"({"serial":"0a","until":9223372036854775807})"),
          std::string(R"({"serial":"0a","until":18446744073709551615})"),
          std::string(R"({"serial":"0a","retire":"0b"})"), std::string(R"({"serial":"0a","retire":[11]})"),
          R"({"serial":"0a","retire":[)" + many + "]}"}) {
        CAPTURE(text.substr(0, 100));
        CHECK_FALSE(parse(text));
    }
}

}  // namespace ctrlexec
