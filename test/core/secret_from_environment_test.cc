#include "core/secret_from_environment.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>

#include "test/scoped_variable.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;

namespace {

Result<std::optional<std::string>> secret() {
    return secret_from_environment("X_TOKEN");
}

std::string refusal_of(const std::string& path) {
    const ScopedVariable file("X_TOKEN_FILE", path);
    const auto token = secret();
    REQUIRE_FALSE(token);
    CHECK(token.error().code == Errc::config);
    CHECK_MESSAGE(token.error().message.starts_with("environment X_TOKEN_FILE: "), token.error().message);
    return token.error().message;
}

}  // namespace

TEST_CASE("a secret comes from its variable or from the file that the other variable names") {
    const TempDir dir;
    REQUIRE(secret());
    CHECK_FALSE(secret()->has_value());
    {
        const ScopedVariable value("X_TOKEN", " s e ");
        CHECK(secret()->value() == " s e ");
    }
    for (const std::string end : {"", "\n", "\r\n", "\n\n"}) {
        const ScopedVariable file("X_TOKEN_FILE", dir.put("token", " s e " + end));
        REQUIRE(secret());
        CHECK(secret()->value() == " s e ");
    }
}

TEST_CASE("an empty variable is not set, for the secret as for its file") {
    const TempDir dir;
    const ScopedVariable value("X_TOKEN", ""), file("X_TOKEN_FILE", dir.put("token", "s\n"));
    CHECK(secret()->value() == "s");
    const ScopedVariable no_file("X_TOKEN_FILE", "");
    CHECK_FALSE(secret()->has_value());
}

TEST_CASE("a secret that is given twice is an error, and not told") {
    const ScopedVariable value("X_TOKEN", "abracadabra"), file("X_TOKEN_FILE", "/nonexistent");
    REQUIRE_FALSE(secret());
    CHECK(secret().error().code == Errc::config);
    CHECK(secret().error().message == "X_TOKEN and X_TOKEN_FILE are both set; unset one of them");
}

TEST_CASE("the file of a secret must be a regular file with one line of text") {
    const TempDir dir;
    CHECK(mentions(refusal_of(dir / "none"), "cannot read " + (dir / "none")));
    CHECK(mentions(refusal_of(dir.path()), "not a regular file"));
    REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
    CHECK(mentions(refusal_of(dir / "fifo"), "not a regular file"));
    CHECK(mentions(refusal_of(dir.put("empty", "\n")), "is empty"));
    const std::string two = refusal_of(dir.put("two", "abracadabra\nb\n"));
    CHECK(mentions(two, "more than one line"));
    CHECK_FALSE(mentions(two, "abracadabra"));
    CHECK(mentions(refusal_of(dir.put("nul", std::string("a\0b", 3))), "control character"));
    CHECK(mentions(refusal_of(dir.put("long", std::string(max_secret_bytes + 1, 'x'))), "larger than"));
    const ScopedVariable file("X_TOKEN_FILE", dir.put("longest", std::string(max_secret_bytes, 'x')));
    CHECK(secret());
}
