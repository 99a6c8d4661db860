#include "core/config_environment.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/agent_config.h"
#include "core/dispatcher_config.h"
#include "test/scoped_variable.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

const std::string required = "cert = /c/x.crt\nkey = /c/x.key\nca = /c/ca.crt\n";

Result<DispatcherConfig> dispatcher(const std::string& text) {
    const TempDir dir;
    return DispatcherConfig::load(dir.put("ctrl-exec.conf", required + text));
}

Result<AgentConfig> agent(const std::string& text) {
    const TempDir dir;
    return AgentConfig::load(dir.put("agent.conf", required + text));
}

template <typename Config>
Setting setting_of(const Result<Config>& config, std::string_view key) {
    REQUIRE(config);
    const auto found = std::find_if(config->settings.begin(), config->settings.end(),
                                    [&](const Setting& setting) { return setting.key == key; });
    REQUIRE(found != config->settings.end());
    return *found;
}

void check_refused(const Result<ConfigFile>& file, std::string_view what) {
    REQUIRE_FALSE(file);
    CHECK(file.error().code == Errc::config);
    CHECK_MESSAGE(mentions(file.error().message, what), file.error().message);
}

}  // namespace

TEST_CASE("a variable counts more than the file") {
    const ScopedVariable port("CTRL_EXEC_API_PORT", "7000");
    const ScopedVariable bind("CTRL_EXEC_AGENT_BIND", " ::1 ");
    const auto config = dispatcher("api_port = 1\napi_port = 2\n");
    REQUIRE(config);
    CHECK(config->api_port == 7000);
    CHECK(agent("bind = 127.0.0.1\n")->bind == "::1");
    CHECK(config->warnings.empty());
}

TEST_CASE("a setting is known with its value and its origin") {
    const ScopedVariable port("CTRL_EXEC_PORT", "7001");
    const TempDir dir;
    const std::string path =
        dir.put("x.conf", required + "pairing_allow_cn_mismatch = on\napi_rate_limit = off\n");
    const auto config = DispatcherConfig::load(path);
    CHECK(setting_of(config, "port").value == "7001");
    CHECK(setting_of(config, "port").origin == "environment CTRL_EXEC_PORT");
    CHECK(setting_of(config, "port").source == SettingSource::environment);
    CHECK(setting_of(config, "pairing_allow_cn_mismatch").value == "yes");
    CHECK(setting_of(config, "pairing_allow_cn_mismatch").origin == path + ":4");
    CHECK(setting_of(config, "api_rate_limit").value == "off");
    CHECK(setting_of(config, "ca_dir").value == "/c");
    CHECK(setting_of(config, "ca_dir").source == SettingSource::fallback);
    CHECK(setting_of(config, "ca_dir").origin == "default");
}

TEST_CASE("every known key of a role is among its settings, once and sorted") {
    const auto check = [](const std::vector<Setting>& settings, const ConfigPlaces& places) {
        std::vector<std::string> keys;
        for (const auto& setting : settings) keys.push_back(setting.key);
        std::vector<std::string> known(places.known.begin(), places.known.end());
        std::sort(known.begin(), known.end());
        CHECK(keys == known);
    };
    check(dispatcher("")->settings, DispatcherConfig::places());
    check(agent("")->settings, AgentConfig::places());
}

TEST_CASE("every known key of a role has a variable, and an error in it names it") {
    const TempDir dir;
    const std::string path = dir.put("x.conf", required);
    for (const auto& places : {DispatcherConfig::places(), AgentConfig::places()}) {
        for (const auto key : places.known) {
            const std::string name = variable_of(places.prefix, key);
            const ScopedVariable variable(name, "a\nb");
            check_refused(load_config(path, places), "environment " + name + ": control character");
        }
    }
    CHECK(variable_of(agent_variables, "rate_limit_probe") == "CTRL_EXEC_AGENT_RATE_LIMIT_PROBE");
}

TEST_CASE("a value out of range names the variable, not the file") {
    const struct {
        std::string variable, value;
    } rows[] = {
        {"CTRL_EXEC_AGENT_PORT", "65536"},           {"CTRL_EXEC_AGENT_HOSTNAME", "web 01"},
        {"CTRL_EXEC_AGENT_SCRIPT_DIRS", ":"},        {"CTRL_EXEC_AGENT_ALLOWED_IPS", "10.0.0.0/33"},
        {"CTRL_EXEC_AGENT_KEY_TYPE", "dsa"},         {"CTRL_EXEC_AGENT_RATE_LIMIT_PROBE", "1/2"},
        {"CTRL_EXEC_AGENT_LEGACY_OUTPUT_CAP", "60"},
    };
    for (const auto& row : rows) {
        const ScopedVariable variable(row.variable, row.value);
        const auto config = agent("port = 7443\n");
        REQUIRE_MESSAGE(!config, row.variable);
        CHECK(config.error().code == Errc::config);
        CHECK_MESSAGE(config.error().message.starts_with("environment " + row.variable + ": "),
                      config.error().message);
    }
    const ScopedVariable origins("CTRL_EXEC_API_CORS_ORIGINS", "nowhere");
    CHECK(dispatcher("").error().message.starts_with("environment CTRL_EXEC_API_CORS_ORIGINS: "));
}

TEST_CASE("a variable of blanks is not set, and one that is too long is refused") {
    const TempDir dir;
    const std::string path = dir.put("x.conf", required + "api_port = 5\n");
    const auto places = DispatcherConfig::places();
    for (const char* const value : {"", " ", "\t"}) {
        const ScopedVariable variable("CTRL_EXEC_API_PORT", value);
        CHECK(load_config(path, places)->text("api_port") == "5");
    }
    const ScopedVariable longest("CTRL_EXEC_AUTH_HOOK", std::string(max_variable_bytes, 'x'));
    CHECK(load_config(path, places));
    const ScopedVariable longer("CTRL_EXEC_AUTH_HOOK", std::string(max_variable_bytes + 1, 'x'));
    check_refused(load_config(path, places), "environment CTRL_EXEC_AUTH_HOOK: longer than 4096 bytes");
}

TEST_CASE(
    "variables of the agent mean nothing to the dispatcher, and those of the dispatcher nothing to it") {
    const ScopedVariable mine("CTRL_EXEC_PORT", "1");
    const ScopedVariable its("CTRL_EXEC_AGENT_PORT", "2");
    CHECK(dispatcher("")->port == 1);
    CHECK(agent("")->port == 2);
}

TEST_CASE("the old name of read_timeout counts as much as the place where it stands") {
    CHECK(dispatcher("timeout = 5\n")->read_timeout == 5);
    CHECK(setting_of(dispatcher("timeout = 5\n"), "read_timeout").source == SettingSource::file);
    CHECK(dispatcher("read_timeout = 6\ntimeout = 5\n")->read_timeout == 6);
    const ScopedVariable old_name("CTRL_EXEC_TIMEOUT", "7");
    CHECK(dispatcher("read_timeout = 6\n")->read_timeout == 7);
    const ScopedVariable name("CTRL_EXEC_READ_TIMEOUT", "8");
    CHECK(dispatcher("timeout = 5\n")->read_timeout == 8);
}

TEST_CASE("what container engines say about a service of our name is no setting") {
    const ScopedVariable link("CTRL_EXEC_AGENT_PORT", "tcp://10.0.0.7:7443");
    CHECK(agent("port = 5\n")->port == 5);
    CHECK(useless_variables(AgentConfig::places()) == std::vector<std::string>{"CTRL_EXEC_AGENT_PORT"});
    const ScopedVariable bind("CTRL_EXEC_AGENT_BIND", "tcp://10.0.0.7");
    CHECK(agent("")->bind == "tcp://10.0.0.7");
}

TEST_CASE("a file may be missing at the default path when variables set what is required") {
    const TempDir dir;
    const std::string path = dir / "none/x.conf";
    const std::vector<std::string_view> known{"cert", "key", "ca", "port"};
    const ConfigPlaces places{"X_", path, known};
    const ConfigPlaces elsewhere{"X_", "/another.conf", known};
    check_refused(load_config(path, places), path + " does not exist; create it");
    const ScopedVariable cert("X_CERT", "/c");
    check_refused(load_config(path, places), "or set X_KEY and X_CA too");
    const ScopedVariable key("X_KEY", "/k");
    check_refused(load_config(path, places), "or set X_CA too");
    const ScopedVariable ca("X_CA", "/a");
    const auto file = load_config(path, places);
    REQUIRE(file);
    CHECK(file->text("cert") == "/c");
    check_refused(load_config(path, elsewhere), "does not exist");
    dir.directory("none");
    CHECK(load_config(path, places));
    dir.put("none/x.conf", "cert = /f\nbroken\n");
    check_refused(load_config(path, places), path + ":2: ");
}

TEST_CASE("a dangling link at the default path is no missing file") {
    const TempDir dir;
    const std::string path = dir.link("x.conf", dir / "nowhere");
    const std::vector<std::string_view> known{"cert", "key", "ca"};
    const ScopedVariable cert("X_CERT", "/c"), key("X_KEY", "/k"), ca("X_CA", "/a");
    CHECK_FALSE(load_config(path, {"X_", path, known}));
}

TEST_CASE("variables that set nothing are found, with regard to the role") {
    const ScopedVariable wrong("CTRL_EXEC_PROT", "1"), log("CTRL_EXEC_LOG", "none"),
        good("CTRL_EXEC_PORT", "1"), its_wrong("CTRL_EXEC_AGENT_PROT", "1"),
        its_good("CTRL_EXEC_AGENT_BIND", ""), other("CTRL_EXEC", "1");
    const auto found = [](const ConfigPlaces& places) { return useless_variables(places); };
    const auto of_dispatcher = found(DispatcherConfig::places());
    CHECK(std::count(of_dispatcher.begin(), of_dispatcher.end(), "CTRL_EXEC_PROT") == 1);
    for (const auto& name : of_dispatcher) {
        CHECK(name != "CTRL_EXEC_LOG");
        CHECK(name != "CTRL_EXEC_PORT");
        CHECK_FALSE(name.starts_with("CTRL_EXEC_AGENT_"));
    }
    CHECK(found(AgentConfig::places()) == std::vector<std::string>{"CTRL_EXEC_AGENT_PROT"});
}
