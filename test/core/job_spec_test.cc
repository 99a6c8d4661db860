#include "core/job_spec.h"

#include "test/approved_program_for_test.h"
#include "test/temp_dir.h"

using namespace ctrlexec;

namespace {

JobSpec example() {
    JobSpec spec{SpawnPlan(ApprovedProgramForTest::approve("/opt/scripts/caf\xe9"))};  // not UTF-8
    spec.plan.arguments = {"", "a b", std::string("\xff\0\n", 3), "\"\\"};
    spec.plan.environment = {"PATH=/bin", "NAME=\xc3\xa4"};
    spec.plan.directory = "/var/\x80";
    Credentials credentials;
    credentials.uid = 1000;
    credentials.gid = 4'000'000'000;
    credentials.groups = {4, 27, 4'000'000'000};
    credentials.user = "backup";
    credentials.home = "/home/backup";
    spec.plan.credentials = credentials;
    spec.plan.umask = 0;
    spec.plan.nice = -3;
    spec.input = std::string(1'000'000, '"');
    spec.input_timeout = std::chrono::milliseconds(1);
    spec.run_timeout = std::chrono::hours(700);
    spec.kill_grace = std::chrono::milliseconds(0);
    spec.output_limit = 16u << 20;
    return spec;
}

}  // namespace

TEST_CASE("a job's specification arrives as it was sent") {
    const JobSpec sent = example();
    const auto got = JobSpec::parse(sent.to_json());
    REQUIRE_MESSAGE(got, (got ? "" : got.error().text()));
    CHECK(got->plan.program.path() == sent.plan.program.path());
    CHECK(got->plan.arguments == sent.plan.arguments);
    CHECK(got->plan.environment == sent.plan.environment);
    CHECK(got->plan.directory == sent.plan.directory);
    CHECK(got->plan.credentials == sent.plan.credentials);
    CHECK(got->plan.umask == sent.plan.umask);
    CHECK(got->plan.nice == sent.plan.nice);
    CHECK(got->input == sent.input);
    CHECK(got->input_timeout == sent.input_timeout);
    CHECK(got->run_timeout == sent.run_timeout);
    CHECK(got->kill_grace == sent.kill_grace);
    CHECK(got->output_limit == sent.output_limit);
    CHECK(got->to_json() == sent.to_json());
}

TEST_CASE("no beginning of a specification is one") {
    JobSpec small = example();
    small.input = "input";
    const std::string text = small.to_json();
    for (std::size_t size = 0; size < text.size(); ++size) {
        if (JobSpec::parse(text.substr(0, size))) FAIL(size);
    }
    CHECK_FALSE(JobSpec::parse(text + "x"));
}

TEST_CASE("a specification without credentials runs as we do, and half of them are none at all") {
    JobSpec spec = example();
    spec.plan.credentials.reset();
    std::string text = spec.to_json();
    REQUIRE(JobSpec::parse(text));
    CHECK_FALSE(JobSpec::parse(text)->plan.credentials);
    const std::string none = "\"credentials\":null";
    for (const char* other : {"\"credentials\":{}", "\"credentials\":{\"uid\":5,\"gid\":5}",
                              "\"credentials\":[]", "\"credentials\":5", "\"x\":0"}) {
        std::string changed = text;
        changed.replace(changed.find(none), none.size(), other);
        CHECK_FALSE_MESSAGE(JobSpec::parse(changed), other);
    }
}
