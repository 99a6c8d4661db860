#include "core/auth_request.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "core/json.h"
#include "test/temp_dir.h"

using namespace ctrlexec;

namespace {

AuthRequest sample() {
    AuthRequest request;
    request.action = "run";
    request.script = "deploy";
    request.hosts = {"web-01", "web-02"};
    request.arguments = {"two words", "", "\"quoted\""};
    request.username = "alice";
    request.token = "secret";
    request.source_ip = "127.0.0.1";
    request.time = 1772798400;
    return request;
}

}  // namespace

TEST_CASE("a hook's environment holds each documented variable and nothing else") {
    const auto environment = sample().environment();
    const std::vector<std::string> expected{
        "ENVEXEC_ACTION=run",
        "ENVEXEC_SCRIPT=deploy",
        "ENVEXEC_HOSTS=web-01,web-02",
        "ENVEXEC_ARGS=two words  \"quoted\"",
        "ENVEXEC_ARGS_JSON=[\"two words\",\"\",\"\\\"quoted\\\"\"]",
        "ENVEXEC_USERNAME=alice",
        "ENVEXEC_TOKEN=secret",
        "ENVEXEC_SOURCE_IP=127.0.0.1",
        "ENVEXEC_TIMESTAMP=2026-03-06T12:00:00Z",
    };
    CHECK(environment == expected);
    AuthRequest on_an_agent = sample();
    on_an_agent.dispatcher = "5c1d0f6ab3e97824";
    CHECK(on_an_agent.environment().back() == "ENVEXEC_DISPATCHER=5c1d0f6ab3e97824");
}

TEST_CASE("a hook's stdin is one JSON object with the documented members") {
    CHECK(sample().input() ==
          "{\"action\":\"run\",\"script\":\"deploy\",\"hosts\":[\"web-01\",\"web-02\"],"
          "\"args\":[\"two words\",\"\",\"\\\"quoted\\\"\"],\"username\":\"alice\",\"token\":\"secret\","
          "\"source_ip\":\"127.0.0.1\",\"timestamp\":\"2026-03-06T12:00:00Z\"}");
}

TEST_CASE("a question about more hosts than an environment can hold is asked in parts, of every host one") {
    AuthRequest request = sample();
    CHECK(request.parts().size() == 1);
    CHECK(request.parts()[0].environment() == request.environment());
    request.hosts.clear();
    CHECK(request.parts().size() == 1);
    for (int i = 10'000; i < 40'000; ++i) request.hosts.push_back("web-" + std::to_string(i));
    std::vector<std::string> asked;
    for (const AuthRequest& part : request.parts()) {
        for (const auto& variable : part.environment()) CHECK(variable.size() < 128 * 1024);
        CHECK(part.token == request.token);
        asked.insert(asked.end(), part.hosts.begin(), part.hosts.end());
    }
    CHECK(asked == request.hosts);
}

TEST_CASE("only exit 0 of a hook allows, and the reasons are the documented ones") {
    CHECK(judge_hook(0));
    CHECK(judge_hook(1).error().message == "denied");
    CHECK(judge_hook(2).error().message == "bad credentials");
    CHECK(judge_hook(3).error().message == "insufficient privilege");
    CHECK(judge_hook(4).error().message == "hook exited 4");
    CHECK(judge_hook(255).error().message == "hook exited 255");
}

TEST_CASE("a hook that is missing, relative, a directory or not executable denies") {
    const testing::TempDir directory;
    const std::vector<std::string> paths{directory.path() + "/missing", directory.path(), std::string("hook"),
                                         std::string()};
    for (const auto& path : paths) {
        const auto program = AuthHook::approve(path);
        REQUIRE_MESSAGE(!program, path);
        CHECK(program.error().code == Errc::denied);
    }
}
