#include "core/auth_policy.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/digest.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;
using Verdict = AuthPolicy::Verdict;

namespace {

std::string hash(const std::string& token) {
    return "sha256:" + to_hex(sha256(token));
}

std::string grant(const std::string& token, const std::string& rest) {
    return hash(token) + " " + rest + "\n";
}

AuthPolicy sound(const std::string& text) {
    auto policy = AuthPolicy::parse("policy", text);
    REQUIRE_MESSAGE(policy, (policy ? "" : policy.error().text()));
    return std::move(*policy);
}

std::string error_of(const std::string& text) {
    const auto policy = AuthPolicy::parse("policy", text);
    REQUIRE_FALSE(policy);
    CHECK(policy.error().code == Errc::config);
    return policy.error().message;
}

AuthRequest question(const std::string& token, const std::string& action, const std::string& script = {},
                     const std::vector<std::string>& hosts = {}) {
    AuthRequest asked;
    asked.token = token;
    asked.action = action;
    asked.script = script;
    asked.hosts = hosts;
    return asked;
}

bool permits(const AuthPolicy& policy, const AuthRequest& asked, const std::vector<Tags>& tags = {}) {
    return policy.judge(asked, tags) == Verdict::permitted;
}

}  // namespace

TEST_CASE("a policy line is hash, actions, scripts, hosts and perhaps a name") {
    const AuthPolicy policy =
        sound("# who\n\n" + grant("one", "run,ping deploy,check-* web-*,tag:env=prod*,10.0.0.?,fd00::* ci") +
              "\t" + hash("two") + "\tmetrics\t-\t-\r\n" + grant("three", "* * *"));
    REQUIRE(policy.grants().size() == 3);
    const PolicyGrant& first = policy.grants()[0];
    CHECK(first.permits(PolicyAction::run));
    CHECK(first.permits(PolicyAction::ping));
    CHECK(first.permits(PolicyAction::api));
    CHECK_FALSE(first.permits(PolicyAction::status));
    CHECK_FALSE(first.permits(PolicyAction::metrics));
    CHECK(first.scripts == std::vector<std::string>{"deploy", "check-*"});
    CHECK(first.hosts == std::vector<std::string>{"web-*", "10.0.0.?", "fd00::*"});
    CHECK(first.tags == Tags{{"env", "prod*"}});
    CHECK(first.name == "ci");
    CHECK(policy.grants()[1].scripts.empty());
    CHECK(policy.grants()[1].hosts.empty());
    CHECK(policy.grants()[2].permits(PolicyAction::metrics));
    CHECK(sound("").grants().empty());
}

TEST_CASE("a bad policy line is named with file, line and remedy, and never repeats a secret") {
    const std::string good = grant("x", "run * *");
    for (const auto& [line, wanted] : std::vector<std::pair<std::string, std::string>>{
             {"ce_secret run * *", "must begin with 'sha256:'"},
             {"sha256:abc run * *", "must begin with 'sha256:'"},
             {"sha256:" + std::string(64, 'A') + " run * *", "lower-case"},
             {"sha256:" + std::string(64, 'g') + " run * *", "hex"},
             {"sha256:" + std::string(66, 'a') + " run * *", "64"},
             {hash("") + " run * *", "the hash of an empty token"},
             {hash("x"), "1 fields"},
             {hash("x") + " run *", "3 fields"},
             {hash("x") + " run * * name more", "6 fields"},
             {hash("x") + " dance * *", "'dance' is no action"},
             {hash("x") + " run,,ping * *", "an empty item"},
             {hash("x") + " run, * *", "an empty item"},
             {hash("x") + " run a,- *", "an empty item"},
             {hash("x") + " run ../x *", "matches no script"},
             {hash("x") + " run a.sh *", "matches no script"},
             {hash("x") + " run * a/b", "matches no host"},
             {hash("x") + " run * [::1]", "matches no host"},
             {hash("x") + " run * tag:env", "is no tag"},
             {hash("x") + " run * tag:=x", "is no tag"},
             {hash("x") + " run * tag:env=", "is no tag"},
             {hash("x") + " run * * n@me", "is no name"},
             {hash("x") + " run * * " + std::string(65, 'n'), "is no name"},
             {hash("x") + " run * tag:e=\xff", "UTF-8"},
             {hash("x") + " run * \x01", "control characters"},
             {hash("x") + " run * " + std::string(9000, 'h'), "longer than 8192 bytes"},
         }) {
        CAPTURE(line);
        const std::string message = error_of(good + "# fine\n" + line + "\n" + good);
        CHECK_MESSAGE(message.starts_with("policy:3: "), message);
        CHECK_MESSAGE(mentions(message, wanted), message);
        CHECK_FALSE_MESSAGE(mentions(message, "secret"), message);
    }
    CHECK(mentions(error_of("\xef\xbb\xbf# x\n"), "policy:1: begins with a byte order mark"));
    std::string many;
    for (std::size_t i = 0; i <= max_policy_grants; ++i) many += good;
    CHECK(mentions(error_of(many), "policy:4097: more than 4096 grants"));
}

TEST_CASE("a token that no line names is unknown, and so is none") {
    const AuthPolicy policy = sound(grant("good", "* * *"));
    for (const std::string& token : {std::string(), std::string("bad"), std::string("good "),
                                     to_hex(sha256("good")), hash("good"), std::string(5000, 'x')}) {
        CAPTURE(token);
        CHECK_FALSE(policy.knows(token));
        for (const char* action : {"api", "run", "metrics"})
            CHECK(policy.judge(question(token, action, "a", {"h"}), {}) == Verdict::unknown_token);
    }
    CHECK(policy.knows("good"));
    const std::string long_token(max_token + 1, 'x');
    CHECK_FALSE(sound(grant(long_token, "* * *")).knows(long_token));
}

TEST_CASE("a known token may always knock, and else only what its actions say") {
    const AuthPolicy policy =
        sound(grant("r", "run * *") + grant("p", "ping - *") + grant("s", "status * *") +
              grant("m", "metrics - -") + grant("a", "api - -") + grant("all", "* * *"));
    const auto may = [&](const std::string& token) {
        std::string found;
        for (const char* action : {"api", "run", "ping", "status", "metrics", "", "discovery", "*"})
            found += permits(policy, question(token, action, "x", {"h"})) ? std::string(action) + " " : "";
        return found;
    };
    CHECK(may("r") == "api run status ");
    CHECK(may("p") == "api ping ");
    CHECK(may("s") == "api status ");
    CHECK(may("m") == "api metrics ");
    CHECK(may("a") == "api ");
    CHECK(may("all") == "api run ping status metrics ");
    CHECK(policy.judge(question("a", "run", "x", {"h"}), {}) == Verdict::not_permitted);
}

TEST_CASE("script and host must be covered by one and the same grant, every host by some") {
    const AuthPolicy policy = sound(grant("t", "run deploy web-*") + grant("t", "run,ping check-* db-01") +
                                    grant("other", "run * *"));
    CHECK(permits(policy, question("t", "run", "deploy", {"web-01", "web-02"})));
    CHECK(permits(policy, question("t", "run", "check-disk", {"db-01"})));
    CHECK_FALSE(permits(policy, question("t", "run", "deploy", {"db-01"})));
    CHECK_FALSE(permits(policy, question("t", "run", "deploy", {"web-01", "db-01"})));
    CHECK_FALSE(permits(policy, question("t", "run", "check-disk", {"web-01"})));
    CHECK_FALSE(permits(policy, question("t", "run", "reboot", {"web-01"})));
    CHECK_FALSE(permits(policy, question("t", "run", "deploy", {})));
    CHECK_FALSE(permits(policy, question("t", "run", "", {"web-01"})));
    CHECK(permits(policy, question("t", "ping", "", {"db-01"})));
    CHECK_FALSE(permits(policy, question("t", "ping", "", {"web-01"})));
    const AuthPolicy both = sound(grant("t", "run deploy web-*") + grant("t", "run * db-01"));
    CHECK(permits(both, question("t", "run", "deploy", {"web-01", "db-01"})));
    CHECK_FALSE(permits(sound(grant("t", "run - *")), question("t", "run", "x", {"h"})));
}

TEST_CASE("a tag covers the hosts that have it, together with the grant's script") {
    const AuthPolicy policy = sound(grant("t", "run deploy web-*,tag:env=prod*") +
                                    grant("t", "run check tag:role=db") + grant("none", "run * web-*"));
    const std::vector<std::string> hosts{"web-01", "x", "y"};
    const AuthRequest asked = question("t", "run", "deploy", hosts);
    CHECK(policy.undecided(asked) == std::vector<std::size_t>{1, 2});
    CHECK(permits(policy, asked, {{}, {{"env", "production"}}, {{"a", "b"}, {"env", "prod"}}}));
    CHECK_FALSE(permits(policy, asked, {{}, {{"env", "production"}}, {{"env", "test"}}}));
    CHECK_FALSE(permits(policy, asked, {{}, {{"env", "production"}}}));
    CHECK_FALSE(permits(policy, asked, {{}, {{"env", "prod"}}, {{"role", "db"}}}));
    CHECK_FALSE(permits(policy, asked));
    CHECK_FALSE(permits(policy, asked, {{}, {{"Env", "prod"}}, {{"env", "prod"}}}));
    CHECK(policy.undecided(question("t", "ping", "", hosts)).empty());
    CHECK(policy.undecided(question("t", "run", "reboot", hosts)).empty());
    CHECK(policy.undecided(question("none", "run", "deploy", hosts)).empty());
    CHECK(policy.undecided(question("stranger", "run", "deploy", hosts)).empty());
    CHECK(policy.undecided(question("t", "metrics")).empty());
}

TEST_CASE("the log's name of a token is the first one that it has") {
    const AuthPolicy policy =
        sound(grant("t", "run * *") + grant("t", "run * * ci") + grant("t", "api - - x"));
    CHECK(policy.name_of("t") == "ci");
    CHECK(policy.name_of("u") == "");
}

TEST_CASE("a policy file that others may write to is refused, and so is one that is not there") {
    const TempDir dir;
    for (const mode_t mode : {0666, 0620, 0602}) {
        const auto refused = AuthPolicy::load(dir.put("policy", grant("x", "* * *"), mode));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == Errc::config);
        CHECK_MESSAGE(mentions(refused.error().message, "run `chmod go-w " + dir / "policy`"),
                      refused.error().message);
    }
    for (const mode_t mode : {0600, 0640, 0644})
        CHECK(AuthPolicy::load(dir.put("policy", grant("x", "* * *"), mode)));
    for (const std::string& path : {dir / "missing", dir.path()}) {
        const auto refused = AuthPolicy::load(path);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == Errc::config);
        CHECK(mentions(refused.error().message, path));
    }
    const auto too_large = AuthPolicy::load(dir.put("policy", std::string(max_policy_bytes + 1, '#'), 0600));
    REQUIRE_FALSE(too_large);
    CHECK(mentions(too_large.error().message, "larger than"));
}

TEST_CASE("a new token is long, random and of characters that no program has to quote") {
    const std::string token = new_token();
    CHECK(token.size() == 46);
    CHECK(token.starts_with("ce_"));
    CHECK(token.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
          std::string::npos);
    CHECK(new_token() != token);
}

TEST_CASE("a line that is made is one that can be read, and grants that token what was asked") {
    const auto line = policy_line("secret", "run", "deploy", "web-*", "ci");
    REQUIRE(line);
    CHECK(*line == hash("secret") + " run deploy web-* ci");
    CHECK(permits(sound(*line), question("secret", "run", "deploy", {"web-1"})));
    CHECK_FALSE(policy_line("secret", "run", "a b", "*", ""));
    CHECK_FALSE(policy_line("secret", "run", "", "*", ""));
    CHECK_FALSE(policy_line("secret", "run", "a", "*", "a b"));
    CHECK_FALSE(policy_line("secret", "run", "a", "*\n", ""));
    CHECK_FALSE(policy_line("secret", "run", "a", "*", "x\nsha256:"));
}

TEST_CASE("a line is appended whole, and what the file was it stays") {
    const TempDir dir;
    const std::string path = dir / "policy";
    const std::string line = hash("x") + " api - -";
    REQUIRE(append_to_policy(path, line));
    CHECK(dir.mode("policy") == 0600);
    CHECK(dir.content("policy") == line + "\n");
    dir.put("policy", "# no line end", 0640);
    REQUIRE(append_to_policy(path, line));
    CHECK(dir.mode("policy") == 0640);
    CHECK(dir.content("policy") == "# no line end\n" + line + "\n");
    CHECK(dir.names() == "policy policy.lock");
    const std::string link = dir.link("link", path);
    REQUIRE(append_to_policy(link, line));
    CHECK(dir.content("policy") == "# no line end\n" + line + "\n" + line + "\n");
    dir.put("policy", "broken", 0600);
    CHECK_FALSE(append_to_policy(path, line));
    CHECK(dir.content("policy") == "broken");
    dir.put("policy", "# open\n", 0666);
    CHECK_FALSE(append_to_policy(path, line));
    CHECK(dir.content("policy") == "# open\n");
    dir.put("policy", std::string(max_policy_bytes - 10, '#'), 0600);
    CHECK_FALSE(append_to_policy(path, line));
    CHECK(dir.content("policy").size() == max_policy_bytes - 10);
}

TEST_CASE("processes that append at the same time lose no line") {
    const TempDir dir;
    std::vector<pid_t> children;
    for (int i = 0; i < 8; ++i) {
        children.push_back(start_process([&] {
            bool fine = true;
            for (int n = 0; n < 5; ++n)
                fine = fine && append_to_policy(dir / "policy", hash("x") + " api - -");
            return fine ? 0 : 1;
        }));
    }
    for (const pid_t child : children) CHECK(status_of(child) == 0);
    CHECK(sound(dir.content("policy")).grants().size() == 40);
}
