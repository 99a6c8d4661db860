#include "core/idempotency.h"

#include <doctest/doctest.h>
#include <sys/time.h>

#include <atomic>
#include <thread>
#include <vector>

#include "core/file.h"
#include "core/timestamp.h"
#include "test/temp_dir.h"

using ctrlexec::Errc;
using ctrlexec::IdempotencyRecord;
using ctrlexec::IdempotencyStore;
using ctrlexec::testing::TempDir;

namespace {

constexpr std::int64_t noon = 1'772'798'400;
const std::string name = IdempotencyStore::name_of("token", "alice", "key-1");

IdempotencyRecord a_record(std::int64_t started = noon) {
    return {"cd7c044574ba9441", "fingerprint", started};
}

}  // namespace

TEST_CASE("a key can be claimed once, and then names its run") {
    const TempDir dir;
    const IdempotencyStore store(dir.path() + "/idempotency");
    CHECK(store.find(name, noon).error().code == Errc::not_found);
    REQUIRE(store.claim(name, a_record()));
    CHECK(store.claim(name, a_record()).error().code == Errc::exists);
    const auto found = store.find(name, noon + IdempotencyStore::kept);
    REQUIRE(found);
    CHECK(found->reqid == "cd7c044574ba9441");
    CHECK(found->fingerprint == "fingerprint");
}

TEST_CASE("a key is free again when its day has passed") {
    const TempDir dir;
    const IdempotencyStore store(dir.path());
    REQUIRE(store.claim(name, a_record()));
    const std::int64_t later = noon + IdempotencyStore::kept + 1;
    CHECK(store.find(name, later).error().code == Errc::not_found);
    REQUIRE(store.claim(name, a_record(later)));
    CHECK(store.find(name, later)->started == later);
}

TEST_CASE("of many that claim a key at the same time one succeeds") {
    const TempDir dir;
    std::atomic<int> claimed = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
            if (IdempotencyStore(dir.path() + "/i").claim(name, a_record())) ++claimed;
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(claimed == 1);
}

TEST_CASE("the same key of another caller is another key") {
    const auto name_of = IdempotencyStore::name_of;
    CHECK(name_of("token", "alice", "key-1") == name);
    CHECK(name_of("token", "alice", "key-2") != name);
    CHECK(name_of("token", "bob", "key-1") != name);
    CHECK(name_of("other", "alice", "key-1") != name);
    CHECK(name_of("", "tokenalice", "key-1") != name_of("token", "alice", "key-1"));
    CHECK(name.size() == 64);
}

TEST_CASE("a broken record is an error that names its file, never a free key") {
    const TempDir dir;
    const IdempotencyStore store(dir.path());
    const std::string path = dir.path() + "/" + name + ".json";
    for (const char* text : {"", "{}", R"({"reqid":"cd7c044574ba9441","fingerprint":"","started":1})",
                             R"({"reqid":"../x","fingerprint":"f","started":1})",
                             R"({"reqid":"cd7c044574ba9441","fingerprint":"f","started":"noon"})"}) {
        CAPTURE(text);
        REQUIRE(ctrlexec::write_file_atomic(path, text, 0640));
        CHECK(store.find(name, noon).error().code == Errc::io);
        CHECK(store.claim(name, a_record()).error().message.find(path) != std::string::npos);
    }
}

TEST_CASE("a purge removes keys older than a day and leaves everything else") {
    const TempDir dir;
    const IdempotencyStore store(dir.path());
    const std::string other = IdempotencyStore::name_of("token", "alice", "key-2");
    const std::int64_t now = ctrlexec::now_seconds();
    REQUIRE(store.claim(name, a_record(now)));
    REQUIRE(store.claim(other, a_record(now)));
    REQUIRE(ctrlexec::write_file_atomic(dir.path() + "/notes.json", "x", 0640));
    for (const std::string& file : {name + ".json", std::string("notes.json")}) {
        const timeval time{now - IdempotencyStore::kept - 10, 0};
        const timeval times[2]{time, time};
        REQUIRE(::utimes((dir.path() + "/" + file).c_str(), times) == 0);
    }
    REQUIRE(store.purge(now));
    CHECK_FALSE(store.find(name, now));
    CHECK(store.find(other, now));
    CHECK(ctrlexec::file_exists(dir.path() + "/notes.json"));
}
