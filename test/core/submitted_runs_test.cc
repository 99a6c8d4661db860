#include "core/submitted_runs.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "core/timestamp.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using ctrlexec::testing::TempDir;
using State = SubmittedHost::State;

namespace {

constexpr const char* id = "cd7c044574ba9441";

SubmittedRun a_run() {
    SubmittedRun run;
    run.reqid = id;
    run.script = "backup";
    run.username = "ann";
    run.submitted = 1'700'000'000;
    for (const auto* name : {"web-01", "web-02"}) {
        SubmittedHost host;
        host.target.host = name;
        host.target.port = 7500;
        run.hosts.push_back(std::move(host));
    }
    return run;
}

void finish(SubmittedRun& run, std::size_t i, int exit = 0) {
    RunResult& result = run.hosts[i].result;
    result.host = run.hosts[i].target.host;
    result.script = run.script;
    result.reqid = run.reqid;
    result.exit = exit;
    result.rtt = "2000ms";
    run.hosts[i].state = State::done;
}

struct Store {
    TempDir dir;
    std::string runs = dir.path() + "/runs";
    SubmittedRuns submitted{runs};
};

}  // namespace

TEST_CASE("a submitted run is found again, in a file of mode 0640, and nobody can submit it twice") {
    Store store;
    auto lock = store.submitted.create(a_run());
    REQUIRE(lock);
    const auto run = store.submitted.find(id);
    REQUIRE(run);
    CHECK(json::dump(run->to_json()) == json::dump(a_run().to_json()));
    struct stat status {};
    REQUIRE(::stat((store.runs + "/submitted/" + id + ".json").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0640);
    CHECK(store.submitted.create(a_run()).error().code == Errc::locked);
    lock = fail(Errc::internal, "");
    CHECK(store.submitted.create(a_run()).error().code == Errc::exists);
}

TEST_CASE("whether somebody is still submitting a run is known to all, and ends with him") {
    Store store;
    {
        const auto lock = store.submitted.create(a_run());
        REQUIRE(lock);
        CHECK(store.submitted.find(id)->submitting);
    }
    CHECK_FALSE(store.submitted.find(id)->submitting);
}

TEST_CASE("what several processes know of a run adds up, and no state goes back") {
    Store store;
    REQUIRE(store.submitted.create(a_run()));
    SubmittedRun first = a_run();
    SubmittedRun second = a_run();
    first.hosts[0].state = State::accepted;
    finish(second, 1, 3);
    REQUIRE(store.submitted.update(first, 1));
    const auto sum = store.submitted.update(second, 2);
    REQUIRE(sum);
    CHECK(sum->hosts[0].state == State::accepted);
    CHECK(sum->hosts[1].result.exit == 3);
    SubmittedRun later = a_run();
    finish(later, 1, 0);
    CHECK(store.submitted.update(later, 3)->hosts[1].result.exit == 3);
    CHECK(store.submitted.find(id)->hosts[0].state == State::accepted);
    CHECK(sum->pending() == std::vector<std::string>{"web-01"});
    CHECK(sum->results().size() == 1);
}

TEST_CASE("a run that is done is a stored run, also for whoever comes late") {
    Store store;
    REQUIRE(store.submitted.create(a_run()));
    SubmittedRun run = a_run();
    finish(run, 0);
    finish(run, 1, 7);
    REQUIRE(store.submitted.update(run, 1'700'000'042));
    CHECK(store.submitted.find(id).error().code == Errc::not_found);
    CHECK_FALSE(file_exists(store.runs + "/submitted/" + id + ".json"));
    const auto stored = RunStore(store.runs).find(id);
    REQUIRE(stored);
    CHECK(stored->completed == 1'700'000'042);
    CHECK(stored->hosts == std::vector<std::string>{"web-01", "web-02"});
    CHECK(stored->results.size() == 2);
    const auto late = store.submitted.update(a_run(), 1'700'000'050);
    REQUIRE(late);
    CHECK(late->done());
    CHECK(late->hosts[1].result.exit == 7);
}

TEST_CASE("a run that nobody has submitted is not found, and no id leads out of the directory") {
    Store store;
    for (const char* reqid :
         {id, "", "../runs/x", "CD7C044574BA9441", "cd7c044574ba9441.json", "/etc/passwd"}) {
        CAPTURE(reqid);
        const auto run = store.submitted.find(reqid);
        REQUIRE(!run);
        CHECK(run.error().code == Errc::not_found);
    }
    CHECK(store.submitted.update(a_run(), 1).error().code == Errc::not_found);
}

TEST_CASE("a record that cannot be read is named, with the remedy") {
    Store store;
    REQUIRE(make_directories(store.runs + "/submitted", 0750));
    const std::string path = store.runs + "/submitted/" + id + ".json";
    const std::string good = json::dump(a_run().to_json());
    const auto with = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        return text.replace(text.find(from), from.size(), to);
    };
    for (const auto& text :
         {std::string("{"), std::string("[]"), std::string("{}"), good + "x", with("\"asked\"", "\"gone\""),
          with("7500", "75000"), with("\"asked\"", "\"done\""), with("web-01", ""),
          with(id, "cd7c044574ba9442"), with("1700000000", "-1"), with("[{", "{\"a\":[{").append("}")}) {
        CAPTURE(text);
        REQUIRE(write_file_atomic(path, text, 0640));
        const auto run = store.submitted.find(id);
        REQUIRE(!run);
        CHECK(run.error().code == Errc::io);
        CHECK(ctrlexec::testing::mentions(run.error().text(), path));
        CHECK(ctrlexec::testing::mentions(run.error().text(), "remove it"));
    }
}

TEST_CASE("a run that never completes is forgotten after longer than any run may last") {
    Store store;
    REQUIRE(store.submitted.create(a_run()));
    const std::string path = store.runs + "/submitted/" + id + ".json";
    const auto set_age = [&](std::int64_t seconds) {
        const timeval time{now_seconds() - seconds, 0};
        const timeval times[2]{time, time};
        REQUIRE(::utimes(path.c_str(), times) == 0);
    };
    set_age(31 * 86400);
    REQUIRE(store.submitted.purge(now_seconds()));
    CHECK(store.submitted.find(id));
    set_age(33 * 86400);
    REQUIRE(store.submitted.purge(now_seconds()));
    CHECK_FALSE(store.submitted.find(id));
}

TEST_CASE("how a run stands is told in the same members before and after it is done") {
    SubmittedRun run = a_run();
    finish(run, 1, 3);
    const json::Value running = run.to_answer(true);
    CHECK(running.text("status") == "running");
    CHECK(json::dump(*running.find("pending")) == R"(["web-01"])");
    CHECK(json::dump(*running.find("hosts")) == R"(["web-01","web-02"])");
    CHECK(running.find("completed") == nullptr);
    finish(run, 0);
    const json::Value done = run.to_answer(true);
    CHECK(done.text("status") == "done");
    CHECK(json::dump(*done.find("pending")) == "[]");
    CHECK(done.find("completed") != nullptr);
}
