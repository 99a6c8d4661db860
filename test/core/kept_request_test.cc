#include "core/kept_request.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <string>

#include "core/staged_pairing.h"
#include "test/core/crypto_fixture.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using ctrlexec::test::new_ec_key;
using ctrlexec::testing::mentions;
using TempDir = ctrlexec::testing::TempDir;

namespace {

AgentConfig config_in(const TempDir& dir) {
    AgentConfig config;
    config.key = dir / "agent.key";
    config.hostname = "web-01";
    return config;
}

constexpr const char* name = ".pairing-request.json";

}  // namespace

TEST_CASE("a kept request is read as it was written, and by its owner alone") {
    const TempDir dir;
    const AgentConfig config = config_in(dir);
    CHECK(load_kept_request(config).error().code == Errc::not_found);
    auto request = make_request(new_ec_key(), "web-01");
    REQUIRE(request);
    request->dispatcher = "ctrl:7444";
    request->reqid = "0123456789abcdef";
    request->sas = "4831-1920";
    REQUIRE(keep_request(config, *request));
    CHECK(dir.mode(name) == 0600);
    const auto kept = load_kept_request(config);
    REQUIRE(kept);
    CHECK(kept->key_pem == request->key_pem);
    CHECK(kept->csr_pem == request->csr_pem);
    CHECK(kept->sas == request->sas);
}

TEST_CASE("a kept request for another key, name or type of key, or that others may write, is not used") {
    const TempDir dir;
    AgentConfig config = config_in(dir);
    auto request = make_request(new_ec_key(), "web-01");
    REQUIRE(request);
    const auto refused = [&](const std::string& why) {
        const auto kept = load_kept_request(config);
        REQUIRE_FALSE(kept);
        CHECK(kept.error().code == Errc::config);
        CHECK_MESSAGE(mentions(kept.error().text(), why), kept.error().text());
    };
    REQUIRE(keep_request(config, *request));
    config.hostname = "web-02";
    refused("another host name");
    config = config_in(dir);
    config.key_type = KeyType::rsa;
    refused("not of the type");
    config = config_in(dir);
    REQUIRE(::chmod((dir / name).c_str(), 0640) == 0);
    refused("accessed by others");
    request->key_pem = new_ec_key().to_pem();
    REQUIRE(keep_request(config, *request));
    refused("another key");
    for (const char* text : {"", "{", "[]", "{}"}) {
        dir.put(name, text, 0600);
        CHECK_FALSE(load_kept_request(config));
    }
    REQUIRE(::unlink((dir / name).c_str()) == 0);
    dir.link(name, dir.put("elsewhere", "{}", 0600));
    refused("not a regular file");
}

TEST_CASE("a check code is eight digits, with or without its dash") {
    for (const char* typed : {"4831-1920", "48311920"}) CHECK(is_check_code(typed, "4831-1920"));
    for (const char* typed :
         {"", "4831-1921", "4831 1920", "4831-19200", "483-11920", "4831--1920", "-48311920"})
        CHECK_FALSE(is_check_code(typed, "4831-1920"));
    CHECK_FALSE(is_check_code("", ""));
    CHECK_FALSE(is_check_code("", "-"));
}
