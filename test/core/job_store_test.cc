#include "core/job_store.h"

#include <unistd.h>

#include "core/job_report.h"
#include "core/ring_file.h"
#include "core/timestamp.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using ctrlexec::testing::mentions;
using ctrlexec::testing::TempDir;

namespace {

JobRecord record(const std::string& reqid = "0123456789abcdef", const std::string& dispatcher = "main") {
    JobRecord record;
    record.key = {reqid, dispatcher};
    record.script = "backup";
    record.username = "operator";
    record.peer_ip = "10.0.0.1";
    record.accepted = 1'700'000'000;
    record.timeout = std::chrono::seconds(30);
    record.kill_grace = std::chrono::seconds(5);
    record.output_limit = 1000;
    return record;
}

JobResult ended(int exit) {
    JobResult result;
    result.exit = exit;
    result.started = 1'700'000'001;
    result.ended = 1'700'000'002;
    return result;
}

}  // namespace

TEST_CASE("the name of a job's directory is its key, and nothing else is one") {
    const JobKey key{"0123456789abcdef", "a-b.c_D"};
    CHECK(JobKey::from_name(key.name()) == key);
    for (const char* name : {"", "0123456789abcdef", "0123456789abcdef-", "0123456789ABCDEF-main",
                             "0123456789abcde-main", "0123456789abcdef0-main", "0123456789abcdef-a/b",
                             "0123456789abcdef-a b", ".0123456789abcdef-main", "../0123456789abcdef-m"}) {
        CHECK_FALSE_MESSAGE(JobKey::from_name(name), name);
    }
}

TEST_CASE("a job is created whole, privately and once") {
    const TempDir dir;
    const JobStore store(dir / "jobs");
    REQUIRE(store.create(record()));
    CHECK(dir.names("jobs") == "0123456789abcdef-main");
    CHECK(dir.mode("jobs") == 0700);
    CHECK(dir.mode("jobs/0123456789abcdef-main") == 0700);
    CHECK(dir.names("jobs/0123456789abcdef-main") == ".result job.json lock");
    CHECK(dir.mode("jobs/0123456789abcdef-main/job.json") == 0600);
    const auto again = store.create(record());
    REQUIRE_FALSE(again);
    CHECK(again.error().code == Errc::exists);
    CHECK(store.create(record("0123456789abcdef", "other")));
    const auto read = store.at(record().key).record();
    REQUIRE(read);
    CHECK(read->to_json().text("peer_ip") == "10.0.0.1");
    CHECK(read->timeout == std::chrono::seconds(30));
    CHECK(store.list()->jobs.size() == 2);
}

TEST_CASE("a job runs while its lock is held, is lost without a result, and keeps its first outcome") {
    const TempDir dir;
    const JobStore store(dir / "jobs");
    REQUIRE(store.create(record()));
    const JobDirectory job = store.at(record().key);
    {
        const auto lock = job.lock();
        REQUIRE(lock);
        const auto running = store.outcome(record().key, 5);
        REQUIRE(running);
        CHECK_FALSE(running->has_value());
        SUBCASE("its supervisor records an outcome") {
            REQUIRE(job.write_result(ended(7)));
        }
        SUBCASE("its supervisor dies") {}
    }
    const bool died = !job.result();
    const auto outcome = store.outcome(record().key, 5);
    REQUIRE(outcome);
    REQUIRE(outcome->has_value());
    CHECK((*outcome)->lost == died);
    CHECK((*outcome)->exit == (died ? -1 : 7));
    if (died) CHECK(mentions((*outcome)->error, "it was never started"));
    CHECK(store.outcome(record().key, 99)->value().ended == (*outcome)->ended);
}

TEST_CASE("why a job is lost depends on how far it came") {
    const TempDir dir;
    const JobStore store(dir / "jobs");
    REQUIRE(store.create(record()));
    auto self = ProcessIdentity::of(::getpid());
    REQUIRE(self);
    std::string why;
    SUBCASE("this machine is still the same") {
        why = "its supervisor killed";
    }
    SUBCASE("it was restarted") {
        self->boot = "another";
        why = "the host was restarted";
    }
    REQUIRE(store.at(record().key).write_start(JobStart{*self, 1'700'000'001}));
    CHECK(store.at(record().key).write_start(JobStart{*self, 5}).error().code == Errc::exists);
    const auto outcome = store.outcome(record().key, 5);
    REQUIRE(outcome);
    CHECK_MESSAGE(mentions((*outcome)->error, why), (*outcome)->error);
    CHECK((*outcome)->started == 1'700'000'001);
}

TEST_CASE("a job that is not there is not found, and a strange entry is none") {
    const TempDir dir;
    const JobStore store(dir / "jobs");
    CHECK(store.outcome(record().key, 5).error().code == Errc::not_found);
    CHECK(store.list()->jobs.empty());
    dir.directory("jobs");
    dir.put("jobs/0123456789abcdef-main", "a file");
    dir.link("jobs/0123456789abcdef-link", "/");
    CHECK(store.list()->jobs.empty());
    CHECK(store.list()->strange.size() == 2);
    CHECK(store.outcome(record().key, 5).error().code == Errc::not_found);
    CHECK_FALSE(store.create(record()));
}

TEST_CASE("an outcome that cannot be read is one: the job never runs again") {
    const TempDir dir;
    const JobStore store(dir / "jobs");
    REQUIRE(store.create(record()));
    dir.put("jobs/0123456789abcdef-main/result.json", "garbage");
    const auto outcome = store.outcome(record().key, 5);
    REQUIRE(outcome);
    CHECK((*outcome)->lost);
    CHECK(mentions((*outcome)->error, "result.json"));
    CHECK(dir.content("jobs/0123456789abcdef-main/result.json") == "garbage");
}

TEST_CASE("a job is removed with all its files, and what a killed process left is, too") {
    const TempDir dir;
    const JobStore store(dir / "jobs");
    REQUIRE(store.create(record()));
    REQUIRE(store.at(record().key).want_cancel());
    REQUIRE(store.remove(record().key));
    CHECK(store.remove(record().key));
    CHECK(dir.names("jobs").empty());
    dir.directory("jobs/.0123456789abcdef-main.abc.tmp");
    dir.put("jobs/.0123456789abcdef-main.abc.tmp/job.json", "x");
    dir.directory("jobs/.somebody-elses");
    store.remove_leftovers(60);
    CHECK(dir.names("jobs") == ".0123456789abcdef-main.abc.tmp .somebody-elses");
    store.remove_leftovers(0);
    CHECK(dir.names("jobs") == ".somebody-elses");
}

TEST_CASE("an outcome survives its file with everything in it, and a long reason fits the reserved place") {
    JobResult result = ended(126);
    result.signal = 15;
    result.timed_out = true;
    result.cancelled = true;
    result.error = std::string(5000, '\x01');
    result.warning = std::string(5000, '\x02');
    const auto text = json::dump(result.to_json());
    CHECK(text.size() < 4096);
    const auto read = JobResult::from_json(*json::parse(text, 1 << 20));
    REQUIRE(read);
    CHECK(read->signal == 15);
    CHECK(read->timed_out);
    CHECK(read->cancelled);
    CHECK_FALSE(read->lost);
    CHECK(read->started == 1'700'000'001);
}

TEST_CASE("a report has the members of a run's answer") {
    const TempDir dir;
    const JobStore store(dir / "jobs");
    REQUIRE(store.create(record()));
    const JobDirectory job = store.at(record().key);
    auto output = RingWriter::create(job.output_path(), 8);
    REQUIRE(output);
    REQUIRE(output->add("0123456789"));
    CHECK(
        json::dump(job_running_report(job, record().key)) ==
        R"({"status":"ok","state":"running","reqid":"0123456789abcdef","script":"backup","stdout_bytes":10,"stderr_bytes":0})");
    const json::Value report = job_end_report(job, record().key, ended(3));
    CHECK(report.text("state") == "done");
    CHECK(
        json::dump(*report.find("result")) ==
        R"({"script":"backup","exit":3,"stdout":"0123\n[ctrl-exec: 2 bytes left out]\n6789","stdout_truncated":true,)"
        R"("stdout_bytes":10,"stderr":"","started":1700000001,"ended":1700000002,"reqid":"0123456789abcdef"})");
}
