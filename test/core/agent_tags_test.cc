#include "core/agent_tags.h"

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "core/agent_config.h"
#include "test/scoped_variable.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

using Tags = std::map<std::string, std::string>;

Result<AgentConfig> loaded(const std::string& tags) {
    const TempDir dir;
    return AgentConfig::load(
        dir.put("agent.conf", "cert = /c\nkey = /k\nca = /a\n[tags]\n" + tags + "[other]\nx = y\n"));
}

Tags tags_of(const std::string& list, const std::string& in_file = "") {
    const ScopedVariable variable("AGENT_TAGS", list);
    const auto config = loaded(in_file);
    REQUIRE_MESSAGE(config, (config ? "" : config.error().text()));
    return config->tags;
}

std::string refusal_of(const std::string& name, const std::string& value) {
    const ScopedVariable variable(name, value);
    const auto config = loaded("");
    REQUIRE_MESSAGE(!config, value);
    CHECK(config.error().code == Errc::config);
    CHECK_MESSAGE(config.error().message.starts_with("environment " + name + ": "), config.error().message);
    return config.error().message;
}

}  // namespace

TEST_CASE("AGENT_TAGS adds tags to those of the file, and counts more") {
    CHECK(tags_of("env=production,role=database") == Tags{{"env", "production"}, {"role", "database"}});
    CHECK(tags_of("env=production", "env = test\nrack = 7\n") == Tags{{"env", "production"}, {"rack", "7"}});
    CHECK(tags_of(" a.b-c_1 = x y , k=a=b ,, empty= ,") ==
          Tags{{"a.b-c_1", "x y"}, {"k", "a=b"}, {"empty", ""}});
    CHECK(tags_of("", "env = test\n") == Tags{{"env", "test"}});
    CHECK(tags_of(",") == Tags{});
}

TEST_CASE("AGENT_ENV and AGENT_ROLE are the tags env and role, and AGENT_TAGS counts more") {
    const ScopedVariable env("AGENT_ENV", "a,b=c"), role("AGENT_ROLE", " web ");
    CHECK(tags_of("", "env = test\n") == Tags{{"env", "a,b=c"}, {"role", "web"}});
    CHECK(tags_of("role=db") == Tags{{"env", "a,b=c"}, {"role", "db"}});
}

TEST_CASE("a tag in the environment that is none is refused with the variable's name") {
    for (const std::string list : {"env", "=x", "a b=x", "k\xc3\xa9=x", "env=x,role"}) {
        CAPTURE(list);
        CHECK(mentions(refusal_of("AGENT_TAGS", list), "expected 'key=value'"));
    }
    CHECK(mentions(refusal_of("AGENT_TAGS", std::string(65, 'k') + "=x"), "1 to 64"));
    CHECK(mentions(refusal_of("AGENT_TAGS", "a=1,b=2,a=3"), "the tag 'a' is there twice"));
    CHECK(mentions(refusal_of("AGENT_TAGS", "a=\x1b[2J"), "control character"));
    CHECK(mentions(refusal_of("AGENT_ENV", "a\nb"), "control character"));
    CHECK(mentions(refusal_of("AGENT_ROLE", std::string(4097, 'x')), "longer than 4096 bytes"));
}

TEST_CASE("tags are settings with their origin, after the keys") {
    const ScopedVariable list("AGENT_TAGS", "role=db");
    const auto config = loaded("env = test\nrole = web\n");
    REQUIRE(config);
    REQUIRE(config->settings.size() > 2);
    const Setting& env = *(config->settings.end() - 2);
    const Setting& role = config->settings.back();
    CHECK(env.key == "tags.env");
    CHECK(env.value == "test");
    CHECK(mentions(env.origin, "agent.conf:5"));
    CHECK(role.key == "tags.role");
    CHECK(role.value == "db");
    CHECK(role.origin == "environment AGENT_TAGS");
}
