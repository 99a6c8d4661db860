#include "core/agent_config.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;
using namespace std::chrono_literals;

namespace {

const std::string required = "cert = /c/agent.crt\nkey = /c/agent.key\nca = /c/ca.crt\n";

Result<AgentConfig> loaded(const std::string& text) {
    const TempDir dir;
    return AgentConfig::load(dir.put("agent.conf", text));
}

AgentConfig sound(const std::string& text) {
    auto config = loaded(text);
    REQUIRE_MESSAGE(config, (config ? "" : config.error().text()));
    return std::move(*config);
}

}  // namespace

TEST_CASE("an agent configuration of an old deployment is taken as it is") {
    const auto config = AgentConfig::load(TEST_DATA_DIR "/old/agent.conf");
    REQUIRE(config);
    CHECK(config->port == 7443);
    CHECK(config->cert == "/etc/ctrl-exec-agent/agent.crt");
    CHECK(config->key == "/etc/ctrl-exec-agent/agent.key");
    CHECK(config->ca == "/etc/ctrl-exec-agent/ca.crt");
    CHECK(config->dispatcher_serial_path == "/etc/ctrl-exec-agent/ctrl-exec-serial");
    CHECK(config->allowlist == "/etc/ctrl-exec-agent/scripts.conf");
    CHECK(config->tags == std::map<std::string, std::string>{{"env", "production"}});
    CHECK(config->warnings.empty());
}

TEST_CASE("what the agent's file leaves out has the documented default") {
    const AgentConfig config = sound(required);
    CHECK(config.config_dir == "/etc/ctrl-exec-agent");
    CHECK(config.state_dir == "/var/lib/ctrl-exec-agent");
    CHECK(config.port == 7443);
    CHECK(config.bind == "");
    CHECK(config.key_type == KeyType::ecdsa);
    CHECK(config.script_dirs.empty());
    CHECK(config.stdin_timeout == 10);
    CHECK(config.max_connections == 512);
    CHECK(config.legacy_output_cap);
    CHECK(config.run_timeout == 0ms);
    CHECK(config.kill_grace == 5s);
    CHECK(config.output_limit == 1u << 20);
    CHECK(config.max_runs == 1024);
    CHECK(config.jobs_dir() == "/var/lib/ctrl-exec-agent/jobs");
    CHECK(config.allowed_ips.empty());
    CHECK(config.auth_hook == "");
    CHECK(config.auth_hook_timeout == 10);
    CHECK(config.revoked_serials == "/etc/ctrl-exec-agent/revoked-serials");
    CHECK(config.tags.empty());
    char name[256] = {};
    REQUIRE(::gethostname(name, sizeof name - 1) == 0);
    CHECK(config.hostname == name);
}

TEST_CASE("every key of the agent is read into its own field") {
    const AgentConfig config =
        sound(required +
              "config_dir = /cfg\nstate_dir = /state\nhostname = web-01\nbind = 127.0.0.1\n"
              "port = 0\nkey_type = rsa\nscript_dirs = /a: /b c :/d\nstdin_timeout = 3\n"
              "max_connections = 4\nrun_timeout = 2h\nkill_grace = 0\noutput_limit = 16M\nmax_runs = "
              "2\nlegacy_output_cap = off\nallowed_ips = 10.0.0.0/8, ::1\nauth_hook = "
              "/hook\nauth_hook_timeout = 5\nrevoked_serials = /revoked\n[tags]\nenv = prod\nrack =\nenv = "
              "test\n[other]\nx = y\n");
    CHECK(config.config_dir == "/cfg");
    CHECK(config.allowlist == "/cfg/scripts.conf");
    CHECK(config.dispatcher_serial_path == "/cfg/ctrl-exec-serial");
    CHECK(config.state_dir == "/state");
    CHECK(config.hostname == "web-01");
    CHECK(config.bind == "127.0.0.1");
    CHECK(config.port == 0);
    CHECK(config.key_type == KeyType::rsa);
    CHECK(config.script_dirs == std::vector<std::string>{"/a", "/b c", "/d"});
    CHECK(config.stdin_timeout == 3);
    CHECK(config.max_connections == 4);
    CHECK(config.run_timeout == 2h);
    CHECK(config.kill_grace == 0s);
    CHECK(config.output_limit == 16u << 20);
    CHECK(config.max_runs == 2);
    CHECK(config.jobs_dir() == "/state/jobs");
    CHECK_FALSE(config.legacy_output_cap);
    CHECK(config.allowed_ips.contains("10.1.2.3"));
    CHECK(config.allowed_ips.contains("::1"));
    CHECK_FALSE(config.allowed_ips.contains("11.0.0.1"));
    CHECK(config.auth_hook == "/hook");
    CHECK(config.auth_hook_timeout == 5);
    CHECK(config.revoked_serials == "/revoked");
    CHECK(config.tags == std::map<std::string, std::string>{{"env", "test"}, {"rack", ""}});
    CHECK(config.warnings.empty());
    CHECK(sound(required + "dispatcher_serial_path = /s\nconfig_dir = /cfg\n").dispatcher_serial_path ==
          "/s");
}

TEST_CASE("script_dirs that limit nothing, or depend on where the agent was started, are refused") {
    for (const std::string value : {":", " : ", "scripts", "/a:scripts", "./a", "../a", ".", "~/a"}) {
        const auto config = loaded(required + "script_dirs = " + value + "\n");
        REQUIRE_MESSAGE(!config, value);
        CHECK(config.error().code == Errc::config);
        CHECK_MESSAGE(mentions(config.error().message, "script_dirs"), config.error().message);
        CHECK_MESSAGE(mentions(config.error().message, "agent.conf"), config.error().message);
    }
    CHECK(sound(required + "script_dirs = :/a::/b:\n").script_dirs == std::vector<std::string>{"/a", "/b"});
}

TEST_CASE("an agent configuration without certificate, key or CA is refused by name") {
    for (const std::string key : {"cert", "key", "ca"}) {
        const auto config = loaded(required + key + " =\n");  // the last one counts
        REQUIRE_FALSE(config);
        CHECK(config.error().code == Errc::config);
        CHECK_MESSAGE(mentions(config.error().message, "agent.conf:4: '" + key + "' has no value"),
                      config.error().message);
    }
    CHECK(mentions(loaded("").error().message, "'cert' is missing"));
}

TEST_CASE("a required key inside a section does not count") {
    CHECK_FALSE(loaded("[tags]\n" + required));
}

TEST_CASE("a bad value of the agent is refused with path and line") {
    for (const std::string line : {"port = 65536", "port = -1", "key_type = dsa", "stdin_timeout = 0",
                                   "stdin_timeout = 86401", "max_connections = 0", "auth_hook_timeout = 0",
                                   "legacy_output_cap = 60", "port", "[tags", "[tags]\nké = 1"}) {
        const auto config = loaded(required + line + "\n");
        REQUIRE_MESSAGE(!config, line);
        CHECK(config.error().code == Errc::config);
        CHECK_MESSAGE(mentions(config.error().message, "agent.conf:"), config.error().message);
    }
}

TEST_CASE("an address filter that is wrong or holds no address is refused, not switched off") {
    for (const std::string value : {",", ", ,", "10.0.0.1, web-01", "10.0.0.0/33", "10.0.0.0/", "10.0.0",
                                    "10.0.0.1;10.0.0.2", "fd00::/129", "[::1]", "*", "all"}) {
        const auto config = loaded(required + "allowed_ips = " + value + "\n");
        REQUIRE_MESSAGE(!config, value);
        CHECK(config.error().code == Errc::config);
        CHECK_MESSAGE(mentions(config.error().message, "agent.conf: allowed_ips: "), config.error().message);
    }
}

TEST_CASE("a misspelt key of the agent is warned of, a tag is not") {
    const AgentConfig config =
        sound(required + "script_dir = /a\nrate_limit_volume = 10/60/300\n[tags]\nanything = x\n");
    REQUIRE(config.warnings.size() == 1);
    CHECK(mentions(config.warnings[0], "agent.conf:4: unknown key 'script_dir'"));
}
