#include "core/join_token_file.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <map>
#include <string>

#include "core/authority.h"
#include "core/file.h"
#include "core/timestamp.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using ctrlexec::testing::mentions;
using ctrlexec::testing::TempDir;

namespace {

using Environment = std::map<std::string, std::string>;

Result<std::optional<JoinTokenFile>> from(const Environment& environment) {
    return JoinTokenFile::from([&](const char* name) {
        const auto found = environment.find(name);
        return found == environment.end() ? std::string() : found->second;
    });
}

std::string refusal(const Environment& environment) {
    const auto file = from(environment);
    if (file) return "none";
    CHECK(file.error().code == Errc::config);
    return file.error().message;
}

class Dispatcher {
  public:
    Dispatcher() {
        config.ca_dir = dir / "ca";
        config.state_dir = dir / "state";
        REQUIRE(Authority::create(config.ca_dir, "", KeyType::ecdsa, 3650));
        file.path = dir / "token";
        file.terms.uses = 2;
    }
    std::string keep(std::int64_t time) const {
        const auto done = file.keep(config, time);
        REQUIRE_MESSAGE(done, (done ? "" : done.error().text()));
        return *done;
    }
    std::string keep() const { return keep(now); }
    JoinToken token() const {
        const auto token = JoinToken::parse(*read_file(file.path, 4096));
        REQUIRE(token);
        return *token;
    }

    bool renew(std::int64_t time) const {
        const auto done = file.renew(config, time);
        REQUIRE_MESSAGE(done, (done ? "" : done.error().text()));
        return *done;
    }
    // As if so many agents had joined.
    void use(int count) const {
        for (int i = 0; i < count; ++i) {
            const std::string name = fmt::format("{:064x}.json", i);
            REQUIRE(write_file_atomic(JoinTokens(config).directory(token().kid) + "/" + name, "{}", 0600));
        }
    }

    const TempDir dir;
    const std::int64_t now = now_seconds();
    DispatcherConfig config;
    JoinTokenFile file;
};

}  // namespace

TEST_CASE("the variables of a token file, and their defaults") {
    CHECK_FALSE(*from({{"JOIN_TOKEN_TTL", "nonsense"}}));
    const auto plain = *from({{"JOIN_TOKEN_FILE", "/join/token"}});
    CHECK(plain->path == "/join/token");
    CHECK(plain->terms.ttl == 30 * 86400);
    CHECK(plain->terms.uses == 10'000);
    CHECK_FALSE(plain->terms.replace);
    const auto full = *from({{"JOIN_TOKEN_FILE", "t"},
                             {"JOIN_TOKEN_TTL", "2h"},
                             {"JOIN_TOKEN_USES", "7"},
                             {"JOIN_TOKEN_HOSTS", "web-*"},
                             {"JOIN_TOKEN_FROM", "10.0.0.0/8"},
                             {"JOIN_TOKEN_REPLACE", "yes"}});
    CHECK(full->terms.ttl == 7200);
    CHECK(full->terms.uses == 7);
    CHECK(full->terms.hosts == "web-*");
    CHECK(full->terms.from == "10.0.0.0/8");
    CHECK(full->terms.replace);
    CHECK(mentions(refusal({{"JOIN_TOKEN_FILE", "t"}, {"JOIN_TOKEN_TTL", "1s"}}), "JOIN_TOKEN_TTL"));
    CHECK(mentions(refusal({{"JOIN_TOKEN_FILE", "t"}, {"JOIN_TOKEN_USES", "many"}}), "JOIN_TOKEN_USES"));
    CHECK(mentions(refusal({{"JOIN_TOKEN_FILE", "t"}, {"JOIN_TOKEN_REPLACE", "1"}}), "JOIN_TOKEN_REPLACE"));
}

TEST_CASE("a missing file is made, a good one is kept") {
    const Dispatcher d;
    CHECK(mentions(d.keep(), "2 uses"));
    struct stat status {};
    REQUIRE(::stat(d.file.path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0640);
    const JoinToken token = d.token();
    CHECK(d.keep().empty());
    CHECK(d.token().kid == token.kid);
}

TEST_CASE("a token that nobody can use any more is replaced, and why is said") {
    const Dispatcher d;
    d.keep();
    CHECK(mentions(d.keep(d.now + 3600), "is expired"));
    JoinToken token = d.token();
    REQUIRE(*JoinTokens(d.config).revoke(token.kid, d.now));
    CHECK(mentions(d.keep(), "is revoked"));
    token = d.token();
    token.secret.front() = static_cast<char>(token.secret.front() ^ 1);
    REQUIRE(write_file_atomic(d.file.path, token.text(), 0640));
    CHECK(mentions(d.keep(), "is not known here"));
    token = d.token();
    token.pin.digest.front() = static_cast<char>(token.pin.digest.front() ^ 1);
    REQUIRE(write_file_atomic(d.file.path, token.text(), 0640));
    CHECK(mentions(d.keep(), "is of another CA"));
    d.use(2);
    CHECK(mentions(d.keep(), "is used up"));
    CHECK(d.keep().empty());
}

TEST_CASE("a running dispatcher makes the next token in time, and the one before stays good") {
    Dispatcher d;
    d.file.terms.uses = 20;
    CHECK_FALSE(d.renew(d.now));
    CHECK_FALSE(file_exists(d.file.path));
    d.keep();
    const JoinToken first = d.token();
    CHECK_FALSE(d.renew(d.now + 3239));
    CHECK(d.token().kid == first.kid);
    CHECK(d.renew(d.now + 3240));
    CHECK(d.token().kid != first.kid);
    CHECK(JoinTokens(d.config).find(first.kid)->is_usable(d.now + 3599));
    CHECK_FALSE(d.renew(d.now + 3240));
    d.use(17);
    CHECK_FALSE(d.renew(d.now + 3240));
    d.use(18);
    CHECK(d.renew(d.now + 3240));
    CHECK(d.renew(d.now + 100'000));  // expired meanwhile
}

TEST_CASE("a running dispatcher replaces no token that somebody has taken away") {
    Dispatcher d;
    d.keep();
    JoinToken token = d.token();
    REQUIRE(*JoinTokens(d.config).revoke(token.kid, d.now));
    CHECK_FALSE(d.renew(d.now + 3600));
    d.keep();
    token = d.token();
    token.secret.front() = static_cast<char>(token.secret.front() ^ 1);
    REQUIRE(write_file_atomic(d.file.path, token.text(), 0640));
    CHECK_FALSE(d.renew(d.now + 3600));
    CHECK(d.token().text() == token.text());
    REQUIRE(write_file_atomic(d.file.path, "password", 0640));
    const auto refused = d.file.renew(d.config, d.now);
    REQUIRE_FALSE(refused);
    CHECK(mentions(refused.error().message, "is not overwritten"));
}

TEST_CASE("what is no token is never overwritten") {
    const Dispatcher d;
    for (const std::string content : {"", "password\n", "cej2_0123456789abcdef_", "\x01"}) {
        REQUIRE(write_file_atomic(d.file.path, content, 0600));
        const auto kept = d.file.keep(d.config, d.now);
        REQUIRE_FALSE(kept);
        CHECK(kept.error().code == Errc::config);
        CHECK(mentions(kept.error().message, d.file.path));
        CHECK(*read_file(d.file.path, 100) == content);
    }
    CHECK(JoinTokens(d.config).list()->tokens.empty());
}

TEST_CASE("a file that cannot be written leaves no token that can be used") {
    Dispatcher d;
    d.file.path = d.dir / "missing/token";
    const auto kept = d.file.keep(d.config, d.now);
    REQUIRE_FALSE(kept);
    CHECK(kept.error().code == Errc::config);
    CHECK(mentions(kept.error().message, "JOIN_TOKEN_FILE"));
    CHECK(JoinTokens(d.config).list()->tokens.empty());
    d.file.path = d.dir.path();
    CHECK(d.file.keep(d.config, d.now).error().code == Errc::config);
    d.file.path = d.dir / "token";
    d.file.terms.hosts = "a b";
    CHECK(mentions(d.file.keep(d.config, d.now).error().message, "JOIN_TOKEN_"));
}
