#include "core/exec_error.h"

#include <doctest/doctest.h>

#include <string>

#include "test/core/spawn_fixture.h"

using namespace ctrlexec;
using namespace ctrlexec::spawn_test;

TEST_CASE("a program that does not exist is not found") {
    const Error error = failure_of(plan_for("/nonexistent/script"));
    CHECK(error.code == Errc::not_found);
    CHECK(mentions(error.message, "/nonexistent/script: no such file"));
}

TEST_CASE("a script whose interpreter does not exist is told from one that does not exist itself") {
    const TempDir directory;
    const std::string script = directory.file("script", "#!/bin/sh\r\necho x\r\n", 0755);
    const Error error = failure_of(plan_for(script));
    CHECK(error.code == Errc::not_found);
    CHECK(mentions(error.message, "#! line"));
    CHECK_FALSE(mentions(error.message, "no such file"));
}

TEST_CASE("a directory is refused as a program") {
    const TempDir directory;
    const Error error = failure_of(plan_for(directory.path()));
    CHECK(error.code == Errc::denied);
    CHECK(mentions(error.message, "is a directory"));
}

TEST_CASE("a file without execute permission is refused, for root too") {
    const TempDir directory;
    const Error error = failure_of(plan_for(directory.file("script", "#!/bin/sh\n", 0644)));
    CHECK(error.code == Errc::denied);
    CHECK(mentions(error.message, "chmod +x"));
}

TEST_CASE("a script without a #! line is not handed to a shell, and the message says what is missing") {
    const TempDir directory;
    const Error error = failure_of(plan_for(directory.file("script", "echo hello\n", 0755)));
    CHECK(error.code == Errc::io);
    CHECK(mentions(error.message, "no #! line"));
}

TEST_CASE("an empty file is not a program") {
    const TempDir directory;
    CHECK(failure_of(plan_for(directory.file("script", "", 0755))).code == Errc::io);
}

TEST_CASE("arguments that are too long for the system are an error of their own") {
    const Error error = failure_of(plan_for("/bin/true", {std::string(1u << 20, 'x')}));
    CHECK(error.code == Errc::io);
    CHECK(mentions(error.message, "too long"));
}

TEST_CASE("a working directory that does not exist is named in the error") {
    SpawnPlan plan = plan_for("/bin/true");
    plan.directory = "/nonexistent/directory";
    const Error error = failure_of(plan);
    CHECK(error.code == Errc::not_found);
    CHECK(mentions(error.message, "/nonexistent/directory"));
}
