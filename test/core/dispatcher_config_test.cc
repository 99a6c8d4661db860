#include "core/dispatcher_config.h"

#include <doctest/doctest.h>

#include <string>

#include "core/file.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

const std::string required = "cert = /c/ctrl-exec.crt\nkey = /c/ctrl-exec.key\nca = /c/ca.crt\n";

Result<DispatcherConfig> loaded(const std::string& text) {
    const TempDir dir;
    return DispatcherConfig::load(dir.put("ctrl-exec.conf", text));
}

DispatcherConfig sound(const std::string& text) {
    auto config = loaded(text);
    REQUIRE_MESSAGE(config, (config ? "" : config.error().text()));
    return std::move(*config);
}

}  // namespace

TEST_CASE("a dispatcher configuration of an old deployment is taken as it is") {
    const auto config = DispatcherConfig::load(TEST_DATA_DIR "/old/ctrl-exec.conf");
    REQUIRE(config);
    CHECK(config->path == TEST_DATA_DIR "/old/ctrl-exec.conf");
    CHECK(config->cert == "/etc/ctrl-exec/ctrl-exec.crt");
    CHECK(config->key == "/etc/ctrl-exec/ctrl-exec.key");
    CHECK(config->ca == "/etc/ctrl-exec/ca.crt");
    CHECK(config->ca_dir == "/etc/ctrl-exec");
    CHECK(config->agents_dir() == "/var/lib/ctrl-exec/agents");
    CHECK(config->pairing_dir() == "/var/lib/ctrl-exec/pairing");
    CHECK(config->warnings.empty());
}

TEST_CASE("what the dispatcher's file leaves out has the documented default") {
    const DispatcherConfig config = sound(required);
    CHECK(config.port == 7443);
    CHECK(config.pairing_port == 7444);
    CHECK(config.pairing_bind == "");
    CHECK(config.pairing_max_queue == 10);
    CHECK_FALSE(config.pairing_allow_cn_mismatch);
    CHECK(config.key_type == KeyType::ecdsa);
    CHECK(config.read_timeout == 60);
    CHECK(config.connect_timeout == 10);
    CHECK(config.confirm_above == 50);
    CHECK(!config.groups_file_is_set);
    CHECK(config.groups_file == directory_of(config.path) + "/groups.conf");
    CHECK(config.max_parallel == 256);
    CHECK(config.cert_days == 365);
    CHECK(config.auth_hook == "");
    CHECK(config.auth_hook_timeout == 10);
}

TEST_CASE("every key of the dispatcher is read into its own field") {
    const DispatcherConfig config =
        sound(required +
              "ca_dir = /ca\nstate_dir = /state\nkey_type = rsa\nport = 1\n"
              "pairing_bind = ::1\npairing_port = 0\npairing_max_queue = 3\n"
              "pairing_allow_cn_mismatch = yes\nread_timeout = 4\nconnect_timeout = 5\n"
              "groups_file = g\nconfirm_above = 0\n"
              "max_parallel = 6\ncert_days = 7\nauth_hook = /hook\nauth_hook_timeout = 8\n");
    CHECK(config.ca_dir == "/ca");
    CHECK(config.agents_dir() == "/state/agents");
    CHECK(config.pairing_dir() == "/state/pairing");
    CHECK(config.key_type == KeyType::rsa);
    CHECK(config.port == 1);
    CHECK(config.pairing_bind == "::1");
    CHECK(config.pairing_port == 0);
    CHECK(config.pairing_max_queue == 3);
    CHECK(config.pairing_allow_cn_mismatch);
    CHECK(config.read_timeout == 4);
    CHECK(config.connect_timeout == 5);
    CHECK(config.confirm_above == 0);
    CHECK(config.groups_file == "g");
    CHECK(config.groups_file_is_set);
    CHECK(config.max_parallel == 6);
    CHECK(config.cert_days == 7);
    CHECK(config.auth_hook == "/hook");
    CHECK(config.auth_hook_timeout == 8);
    CHECK(config.warnings.empty());
}

TEST_CASE("the directory of the CA is where its certificate lies") {
    CHECK(sound("cert = c\nkey = k\nca = ca.crt\n").ca_dir == ".");
    CHECK(sound("cert = c\nkey = k\nca = /ca.crt\n").ca_dir == "/");
    CHECK(sound("cert = c\nkey = k\nca = /a/b/ca.crt\n").ca_dir == "/a/b");
}

TEST_CASE("the old name of the read timeout counts unless the new one is there") {
    CHECK(sound(required + "timeout = 7\n").read_timeout == 7);
    CHECK(sound(required + "read_timeout = 8\ntimeout = 7\n").read_timeout == 8);
}

TEST_CASE("a dispatcher configuration without certificate, key or CA is refused by name") {
    for (const std::string key : {"cert", "key", "ca"}) {
        std::string text = required;
        text.erase(text.find(key + " = "), text.find('\n', text.find(key + " = ")) - text.find(key + " = "));
        const auto config = loaded(text);
        REQUIRE_FALSE(config);
        CHECK(config.error().code == Errc::config);
        CHECK_MESSAGE(mentions(config.error().message, "'" + key + "' is missing"), config.error().message);
    }
}

TEST_CASE("a bad value of the dispatcher is refused with path and line") {
    for (const std::string line :
         {"port = 0", "port = 65536", "port = https", "pairing_port = -1", "pairing_max_queue = 0",
          "key_type = RSA", "pairing_allow_cn_mismatch = maybe", "read_timeout = 0", "timeout = 1h",
          "connect_timeout = 601", "max_parallel = 0", "confirm_above = -1", "cert_days = 0",
          "cert_days = 36501", "port ="}) {
        const auto config = loaded(required + line + "\n");
        REQUIRE_MESSAGE(!config, line);
        CHECK(config.error().code == Errc::config);
        CHECK_MESSAGE(mentions(config.error().message, "ctrl-exec.conf:4: "), config.error().message);
    }
}

TEST_CASE("a misspelt key of the dispatcher is warned of and the rest is used") {
    const DispatcherConfig config = sound(required + "prot = 1\nport = 2\napi_port = 7445\n");
    CHECK(config.port == 2);
    REQUIRE(config.warnings.size() == 1);
    CHECK(mentions(config.warnings[0], "ctrl-exec.conf:4: unknown key 'prot'"));
}

TEST_CASE("the API's limit of refused credentials has a default, can be set, and can be off") {
    CHECK(sound(required).api_rate_limit->text() == "100/60/60");
    CHECK(sound(required + "api_rate_limit = 5/6/7\n").api_rate_limit->text() == "5/6/7");
    CHECK_FALSE(sound(required + "api_rate_limit = off\n").api_rate_limit);
    const auto bad = loaded(required + "api_rate_limit = none\n");
    REQUIRE_FALSE(bad);
    CHECK(bad.error().code == Errc::config);
    CHECK(mentions(bad.error().message, "api_rate_limit: 'none' is not COUNT/WINDOW/BLOCK"));
}

TEST_CASE("a policy file is named by its path, and there is none by default") {
    CHECK(sound(required).auth_policy == "");
    CHECK(sound(required + "auth_policy = /etc/ctrl-exec/policy\n").auth_policy == "/etc/ctrl-exec/policy");
}
