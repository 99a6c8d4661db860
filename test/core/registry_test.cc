#include "core/registry.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;
using namespace std::string_view_literals;

namespace {

AgentRecord record_of(const std::string& hostname) {
    AgentRecord record;
    record.hostname = hostname;
    record.ip = "10.0.0.1";
    return record;
}

json::Value value_of(std::string_view text) {
    auto value = json::parse(text, 100'000);
    REQUIRE_MESSAGE(value, text);
    return std::move(*value);
}

RegistryListing listing(const Registry& registry) {
    auto listed = registry.list();
    REQUIRE_MESSAGE(listed, (listed ? "" : listed.error().text()));
    return std::move(*listed);
}

std::string names(const RegistryListing& listing) {
    std::string text;
    for (const auto& agent : listing.agents) text += agent.hostname + " ";
    return text;
}

}  // namespace

TEST_CASE("names are sorted, and those of records that cannot be used are among them") {
    const TempDir directory;
    const Registry registry(directory / "agents");
    CHECK(registry.names()->empty());
    for (const auto* name : {"web", "web-01", "db"}) REQUIRE(registry.save(record_of(name)));
    for (const auto* name : {"broken.json", "-x.json", "note.txt", ".json", "a b.json"})
        REQUIRE(write_file_atomic(directory / "agents" + "/" + name, "{", 0644));
    CHECK(*registry.names() == std::vector<std::string>{"broken", "db", "web", "web-01"});
}

TEST_CASE("the record of an old deployment is listed, found and kept") {
    const TempDir dir;
    dir.put("agent1.json", data_file("old/agent1.json"));
    const Registry registry(dir.path());
    const RegistryListing listed = listing(registry);
    CHECK(listed.problems.empty());
    REQUIRE(listed.agents.size() == 1);
    const AgentRecord& agent = listed.agents[0];
    CHECK(agent.hostname == "agent1");
    CHECK(agent.ip == "10.77.0.11");
    CHECK(agent.paired == "2026-11-22T12:37:06Z");
    CHECK(agent.expiry == "Feb 24 12:37:06 2029 GMT");
    CHECK(agent.reqid == "93670bb4ba3e5aee");
    CHECK(agent.dispatcher_serial == "02");
    CHECK(agent.serial_status == "current");
    CHECK(agent.serial_broadcast == "");
    CHECK(agent.serial_confirmed == "2026-11-22T12:37:06Z");
    CHECK(agent.agent_port == 0);
    CHECK(agent.lookup_by == "");
    REQUIRE(registry.save(*registry.find("agent1")));
    const json::Value before = value_of(data_file("old/agent1.json"));
    const json::Value after = value_of(dir.content("agent1.json"));
    REQUIRE(after.if_object()->size() ==
            before.if_object()->size());  // the old program knows no other members
    for (const auto& member : *before.if_object()) CHECK(after.text(member.key) == *member.value.if_string());
}

TEST_CASE("members that we do not know survive, in any shape") {
    const TempDir dir;
    const Registry registry(dir.path());
    const std::string unknown =
        R"("labels":{"env":"prod","n":[1,2.5,null,true]},"note":"é\u0000","belief":"tofu")";
    dir.put("a.json", R"({"x":1,"hostname":"a",)" + unknown + "}");
    AgentRecord record = *registry.find("a");
    record.ip = "10.0.0.9";
    REQUIRE(registry.save(record));
    const std::string text = dir.content("a.json");
    CHECK_MESSAGE(mentions(text, unknown), text);
    CHECK(mentions(text, "\"x\":1"));
    CHECK(registry.find("a")->ip == "10.0.0.9");
    REQUIRE(registry.save(*registry.find("a")));
    CHECK(dir.content("a.json") == text);
}

TEST_CASE("what is saved is found again, as one file of mode 0644") {
    const TempDir dir;
    const Registry registry(dir / "state/agents");
    AgentRecord record = record_of("web-01");
    record.serial_status = "pending";
    record.agent_port = 7000;
    record.lookup_by = "ip";
    REQUIRE(registry.save(record));
    CHECK(dir.names("state/agents") == "web-01.json");
    CHECK(dir.mode("state/agents/web-01.json") == 0644);
    const auto found = registry.find("web-01");
    REQUIRE(found);
    CHECK(found->ip == "10.0.0.1");
    CHECK(found->serial_status == "pending");
    CHECK(found->agent_port == 7000);
    CHECK(found->lookup_by == "ip");
}

TEST_CASE("the port of a record is a number or text from 1 to 65535, else the default") {
    struct Row {
        std::string_view text;
        int port;
    };
    for (const Row& row :
         {Row{"7000", 7000}, Row{"\"7000\"", 7000}, Row{"65535", 65535}, Row{"0", 0}, Row{"65536", 0},
          Row{"-1", 0}, Row{"\"x\"", 0}, Row{"null", 0}, Row{"1.5", 0}, Row{"[7000]", 0}, Row{"\"\"", 0}}) {
        const auto record = AgentRecord::from_json(
            value_of(R"({"hostname":"a","agent_port":)" + std::string(row.text) + "}"));
        REQUIRE(record);
        CHECK_MESSAGE(record->agent_port == row.port, row.text);
    }
    CHECK_FALSE(mentions(json::dump(record_of("a").to_json()), "agent_port"));
    CHECK_FALSE(mentions(json::dump(record_of("a").to_json()), "lookup_by"));
}

TEST_CASE("a record needs a hostname that is one") {
    for (const auto text :
         {"{}"sv, "[]"sv, "null"sv, "\"a\""sv, R"({"hostname":""})"sv, R"({"hostname":null})"sv,
          R"({"hostname":["a"]})"sv, R"({"hostname":"../a"})"sv, R"({"hostname":"a\u0000"})"sv,
          R"({"hostname":"a\u001b[2J"})"sv, R"({"Hostname":"a"})"sv}) {
        const auto record = AgentRecord::from_json(value_of(text));
        REQUIRE_MESSAGE(!record, text);
        CHECK(record.error().code == Errc::bad_request);
        CHECK_FALSE(mentions(record.error().message, "\x1b"));
    }
}

TEST_CASE("a file that cannot be used is reported by name and hides no other agent") {
    struct Row {
        std::string name, content;
    };
    const Row rows[] = {
        {"empty.json", ""},
        {"cut.json", "{\"hostname\":\"cut\""},
        {"binary.json", "\xff\xfe\x00"},
        {"list.json", "[]"},
        {"nameless.json", "{}"},
        {"other.json", R"({"hostname":"web-01"})"},
        {"twice.json", R"({"hostname":"twice","hostname":"web-01"})"},
        {"escape.json", R"({"hostname":"../../etc/passwd"})"},
        {"big.json", R"({"hostname":"big","x":")" + std::string(65'536, 'x') + "\"}"},
        {"deep.json", std::string(60'000, '[')},
        {"Web-01.json", R"({"hostname":"web-01"})"},
        {"esc\x1b[2J\n.json", "{}"},
    };
    for (const auto& row : rows) {
        const TempDir dir;
        const Registry registry(dir.path());
        REQUIRE(registry.save(record_of("web-01")));
        dir.put(row.name, row.content);
        const RegistryListing listed = listing(registry);
        CHECK(names(listed) == "web-01 ");
        REQUIRE_MESSAGE(listed.problems.size() == 1, row.name);
        CHECK_MESSAGE(mentions(listed.problems[0], dir.path()), listed.problems[0]);
        CHECK_MESSAGE(mentions(listed.problems[0], row.name.substr(0, 3)), listed.problems[0]);
        for (const char c : listed.problems[0])
            CHECK_MESSAGE(static_cast<unsigned char>(c) >= 0x20, row.name);
    }
}

TEST_CASE("what is no regular file is reported, and does not hang the listing") {
    const TempDir dir;
    const Registry registry(dir.path());
    REQUIRE(registry.save(record_of("web-01")));
    dir.directory("directory.json");
    REQUIRE(::mkfifo((dir / "fifo.json").c_str(), 0644) == 0);
    dir.link("loop.json", "loop.json");
    const RegistryListing listed = listing(registry);
    CHECK(names(listed) == "web-01 ");
    CHECK(listed.problems.size() == 3);
}

TEST_CASE("a record that goes away while it is being listed is no problem") {
    const TempDir dir;
    dir.link("gone.json", "nowhere");  // in the directory, but not found when it is opened
    const RegistryListing listed = listing(Registry(dir.path()));
    CHECK(listed.agents.empty());
    CHECK(listed.problems.empty());
}

TEST_CASE("other files beside the records are left alone") {
    const TempDir dir;
    const Registry registry(dir.path());
    for (const auto* name :
         {".json", ".web-01.json.0123456789ab.tmp", "README", "web-01.json~", "web-01.json.bak", "json"}) {
        dir.put(name, "{}");
    }
    const RegistryListing listed = listing(registry);
    CHECK(listed.agents.empty());
    CHECK(listed.problems.empty());
}

TEST_CASE("agents are listed by name, not by file name") {
    const TempDir dir;
    const Registry registry(dir.path());
    for (const auto* name : {"web-01", "web.b", "web", "db", "web-02"})
        REQUIRE(registry.save(record_of(name)));
    CHECK(names(listing(registry)) == "db web web-01 web-02 web.b ");
}

TEST_CASE("a registry that does not exist is empty, one that may not be read is an error") {
    const TempDir dir;
    CHECK(listing(Registry(dir / "missing")).agents.empty());
    CHECK_FALSE(Registry(dir.put("file", "")).list());
    REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
    dir.directory("closed");
    REQUIRE(Registry(dir / "closed/agents").save(record_of("web-01")));
    REQUIRE(::chmod((dir / "closed").c_str(), 0) == 0);
    CHECK(as_ordinary_user([&] {
              const Registry registry(dir / "closed/agents");
              const auto found = registry.find("web-01");
              return !registry.list() && !found && found.error().code != Errc::not_found ? 0 : 1;
          }) == 0);
    REQUIRE(::chmod((dir / "closed").c_str(), 0700) == 0);
}

TEST_CASE("an unknown agent is not found") {
    const TempDir dir;
    const Registry registry(dir / "agents");
    for (int round = 0; round < 2; ++round) {
        const auto found = registry.find("web-01");
        REQUIRE_FALSE(found);
        CHECK(found.error().code == Errc::not_found);
        CHECK(mentions(found.error().message, "'web-01'"));
        CHECK(registry.remove("web-01").error().code == Errc::not_found);
        REQUIRE(registry.save(record_of("web-02")));
    }
}

TEST_CASE("a record is removed once") {
    const TempDir dir;
    const Registry registry(dir.path());
    REQUIRE(registry.save(record_of("web-01")));
    CHECK(registry.remove("web-01"));
    CHECK(registry.remove("web-01").error().code == Errc::not_found);
    CHECK(dir.names() == "");
}

TEST_CASE("a broken record can be removed by its name") {
    const TempDir dir;
    dir.put("web-01.json", "broken");
    CHECK(Registry(dir.path()).find("web-01").error().code == Errc::io);
    CHECK(Registry(dir.path()).remove("web-01"));
    CHECK(dir.names() == "");
}

TEST_CASE("a file under another agent's name is not that agent") {
    const TempDir dir;
    dir.put("web-02.json", R"({"hostname":"web-01","ip":"10.0.0.1"})");
    const auto found = Registry(dir.path()).find("web-02");
    REQUIRE_FALSE(found);
    CHECK(found.error().code == Errc::io);
    CHECK(mentions(found.error().message, "web-02.json"));
}

TEST_CASE("no name reaches a file outside the registry") {
    const TempDir dir;
    const Registry registry(dir.directory("agents"));
    dir.put("x.json", R"({"hostname":"x"})");
    for (const auto name :
         {"../x"sv, "./x"sv, "/x"sv, ".."sv, "."sv, ""sv, "a/../../x"sv, "x\0"sv, "../x.json"sv, "x\x1b"sv}) {
        const auto found = registry.find(name);
        REQUIRE_MESSAGE(!found, name);
        CHECK(found.error().code == Errc::bad_request);
        CHECK(registry.remove(name).error().code == Errc::bad_request);
        CHECK(registry.save(record_of(std::string(name))).error().code == Errc::bad_request);
    }
    CHECK(dir.names() == "agents x.json");
    CHECK(dir.names("agents") == "");
}

TEST_CASE("a record that cannot be written leaves the old one") {
    const TempDir dir;
    const Registry registry(dir.path());
    REQUIRE(registry.save(record_of("web-01")));
    const std::string before = dir.content("web-01.json");
    CHECK_FALSE(Registry(dir / "web-01.json").save(record_of("web-01")));
    CHECK_FALSE(registry.save(record_of(std::string(253, 'n'))));  // longer than a file's name may be
    CHECK(dir.content("web-01.json") == before);
    CHECK(dir.names() == "web-01.json");
}

TEST_CASE("what the old program does not know is written only when it is set") {
    const std::string plain = json::dump(record_of("web-01").to_json());
    for (const std::string_view name : {"key", "serial", "cn", "key_learned"})
        CHECK_MESSAGE(plain.find("\"" + std::string(name) + "\":") == std::string::npos, name);
    AgentRecord record = record_of("web-01");
    record.key = "ab";
    record.certificate_serial = "1f";
    record.cn = "web";
    record.key_learned = true;
    const auto again = AgentRecord::from_json(record.to_json());
    REQUIRE(again);
    CHECK(again->key == "ab");
    CHECK(again->certificate_serial == "1f");
    CHECK(again->common_name() == "web");
    CHECK(again->key_learned);
    CHECK(record_of("web-01").common_name() == "web-01");
}

TEST_CASE("days left are whole ones, below 0 after the end, and none without a date") {
    AgentRecord record = record_of("web-01");
    record.expiry = "Jan 11 00:00:00 2027 GMT";
    const std::int64_t end = 1799625600;
    CHECK(record.days_left(end) == 0);
    CHECK(record.days_left(end - 86400) == 1);
    CHECK(record.days_left(end - 86399) == 0);
    CHECK(record.days_left(end + 1) == -1);
    record.expiry = "tomorrow";
    CHECK(record.days_left(end) == std::nullopt);
}

TEST_CASE("an update sees the newest record, and writes only what it changed") {
    const TempDir dir;
    const Registry registry(dir.path());
    REQUIRE(registry.save(record_of("web-01")));
    const auto updated = registry.update("web-01", [](AgentRecord& record) {
        record.serial_status = "pending";
        return true;
    });
    REQUIRE(updated);
    CHECK(updated->serial_status == "pending");
    REQUIRE(registry.update("web-01", [](AgentRecord& record) {
        record.ip = "10.0.0.2";
        return false;
    }));
    CHECK(registry.find("web-01")->ip == "10.0.0.1");
    CHECK(registry.find("web-01")->serial_status == "pending");
    CHECK(registry.update("db-01", [](AgentRecord&) { return true; }).error().code == Errc::not_found);
}
