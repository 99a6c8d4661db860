#include "core/run_store.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "core/file.h"
#include "core/timestamp.h"
#include "test/temp_dir.h"

using ctrlexec::Errc;
using ctrlexec::RunStore;
using ctrlexec::StoredRun;
using ctrlexec::testing::TempDir;
namespace json = ctrlexec::json;

namespace {

constexpr const char* id = "cd7c044574ba9441";

StoredRun a_run(std::string reqid = id) {
    StoredRun run;
    run.reqid = std::move(reqid);
    run.script = "true";
    run.hosts = {"web-01"};
    ctrlexec::RunResult result;
    result.host = "web-01";
    result.exit = 0;
    run.results.push_back(result.to_json());
    run.completed = ctrlexec::now_seconds();
    return run;
}

void set_age(const std::string& path, std::int64_t seconds) {
    const timeval time{ctrlexec::now_seconds() - seconds, 0};
    const timeval times[2]{time, time};
    REQUIRE(::utimes(path.c_str(), times) == 0);
}

}  // namespace

TEST_CASE("a stored run is found again, in a file of mode 0640") {
    const TempDir dir;
    const RunStore store(dir.path() + "/runs");
    REQUIRE(store.save(a_run()));
    const auto run = store.find(id);
    REQUIRE(run);
    CHECK(json::dump(run->to_json()) == json::dump(a_run().to_json()));
    struct stat status {};
    REQUIRE(::stat((dir.path() + "/runs/" + id + ".json").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0640);
}

TEST_CASE("a run that is not stored is not found, and no id leads out of the directory") {
    const TempDir dir;
    const RunStore store(dir.path() + "/runs");
    for (const char* reqid :
         {id, "", "../runs/x", "CD7C044574BA9441", "cd7c044574ba9441.json", "/etc/passwd"}) {
        CAPTURE(reqid);
        const auto run = store.find(reqid);
        REQUIRE_FALSE(run);
        CHECK(run.error().code == Errc::not_found);
    }
}

TEST_CASE("a record that is broken or another run's names its file") {
    const TempDir dir;
    const RunStore store(dir.path());
    const std::string path = dir.path() + "/" + id + ".json";
    for (const char* text :
         {"", "{", "[]", "{}", R"({"reqid":"cd7c044574ba9441","results":{},"completed":1})",
          R"({"reqid":"cd7c044574ba9441","results":[]})",
          R"({"reqid":"cd7c044574ba9441","results":[],"completed":"soon"})",
          R"({"reqid":"00000000000000aa","results":[],"completed":1})"}) {
        CAPTURE(text);
        REQUIRE(ctrlexec::write_file_atomic(path, text, 0640));
        const auto run = store.find(id);
        REQUIRE_FALSE(run);
        CHECK(run.error().code == Errc::io);
        CHECK(run.error().message.find(path) != std::string::npos);
    }
}

TEST_CASE("a purge removes runs older than a day and leaves everything else") {
    const TempDir dir;
    const RunStore store(dir.path());
    REQUIRE(store.save(a_run("00000000000000aa")));
    REQUIRE(store.save(a_run("00000000000000bb")));
    REQUIRE(ctrlexec::write_file_atomic(dir.path() + "/notes.json", "x", 0640));
    set_age(dir.path() + "/00000000000000aa.json", RunStore::kept + 10);
    set_age(dir.path() + "/00000000000000bb.json", RunStore::kept - 100);
    set_age(dir.path() + "/notes.json", RunStore::kept + 10);
    REQUIRE(store.save(a_run()));
    CHECK(store.find("00000000000000aa"));
    REQUIRE(store.purge(ctrlexec::now_seconds()));
    CHECK_FALSE(store.find("00000000000000aa"));
    CHECK(store.find("00000000000000bb"));
    CHECK(store.find(id));
    CHECK(ctrlexec::file_exists(dir.path() + "/notes.json"));
}

TEST_CASE("a purge where nothing was ever stored is no failure") {
    const TempDir dir;
    CHECK(RunStore(dir.path() + "/runs").purge(ctrlexec::now_seconds()));
    CHECK_FALSE(ctrlexec::file_exists(dir.path() + "/runs"));
}
