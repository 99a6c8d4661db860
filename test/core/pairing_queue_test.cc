#include "core/pairing_queue.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>
#include <string_view>

#include "core/timestamp.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using namespace ctrlexec::testing;
using namespace std::string_view_literals;

namespace {

constexpr std::int64_t now = 1'800'000'000;
const std::string first_id = "0123456789abcdef";
const std::string second_id = "fedcba9876543210";
constexpr std::size_t limit = 10;

PairingRequest request_of(const std::string& id, std::int64_t received = now) {
    PairingRequest request;
    request.id = id;
    request.hostname = "web-01";
    request.ip = "10.0.0.1";
    request.csr = "-----BEGIN CERTIFICATE REQUEST-----\n";
    request.nonce = "06ba031ebf93b5a2ba317abb3f87b35b";
    request.received = iso8601(received);
    return request;
}

std::string text_of(const PairingRequest& request) {
    return json::dump(request.to_json());
}

std::string ids(const PairingQueue& queue, std::int64_t at = now) {
    const auto requests = queue.list(at);
    REQUIRE(requests);
    std::string text;
    for (const auto& request : *requests) text += request.id + " ";
    return text;
}

Result<void> approve(const PairingQueue& queue, const PairingRequest& request, const json::Value& answer) {
    FileSet files;
    TRY_DO(queue.stage_approval(files, request, answer));
    return files.commit();
}

Errc code_of(const Result<void>& result) {
    REQUIRE_FALSE(result);
    return result.error().code;
}

Errc code_of(const Result<PairingRequest>& result) {
    REQUIRE_FALSE(result);
    return result.error().code;
}

}  // namespace

TEST_CASE("an id is 8 to 32 lower-case hex digits") {
    for (const auto id : {"01234567"sv, "e96764166d3065c7"sv, "00000000000000000000000000000000"sv})
        CHECK(is_valid_reqid(id));
    for (const auto id : {""sv, "0123456"sv, "000000000000000000000000000000000"sv, "E96764166D3065C7"sv,
                          "e96764166d3065c"sv
                          "g"sv,
                          "../01234"sv, "01234567/"sv, "01234567.json"sv, " 01234567"sv, "01234567\n"sv,
                          "01234567\0"sv, "0123456\xff"sv, "*0123456"sv}) {
        CHECK_MESSAGE(!is_valid_reqid(id), id);
    }
}

TEST_CASE("a request that the old program queued waits here too, under its code") {
    const TempDir dir;
    const PairingQueue queue(dir.path());
    const std::int64_t received = *parse_iso8601("2026-11-22T12:37:27Z");
    dir.put("e96764166d3065c7.json", data_file("old/pairing-request.json"));
    const auto request = queue.find("e96764166d3065c7", received + 600);
    REQUIRE(request);
    CHECK(request->hostname == "agent1");
    CHECK(request->ip == "10.77.0.11");
    CHECK(request->nonce == "06ba031ebf93b5a2ba317abb3f87b35b");
    CHECK(request->code == "056284");
    CHECK(request->csr == data_file("old/pairing-request.csr"));
    CHECK(request->agent_port == 0);
    CHECK(code_of(queue.find("e96764166d3065c7", received + 601)) == Errc::not_found);
}

TEST_CASE("the code is made of the certificate request, never taken from the file") {
    auto value = json::parse(data_file("old/pairing-request.json"), 10'000);
    REQUIRE(value);
    value->set("code", "999999");
    CHECK(PairingRequest::from_json(*value)->code == "056284");
    value->set("csr", std::string(value->text("csr")) + "\n");
    CHECK(PairingRequest::from_json(*value)->code != "056284");
}

TEST_CASE("a queued request is one private file that reads back as the same") {
    const TempDir dir;
    const PairingQueue queue(dir.path());
    PairingRequest request = request_of(first_id);
    request.agent_port = 7000;
    request.lookup_by = "ip";
    REQUIRE(queue.add(request, limit, now));
    CHECK(dir.names() == first_id + ".json");
    CHECK(dir.mode(first_id + ".json") == 0600);
    const auto found = queue.find(first_id, now);
    REQUIRE(found);
    request.code = found->code;
    CHECK(text_of(*found) == text_of(request));
}

TEST_CASE("a request needs a valid id and hostname and a bounded certificate request") {
    const auto accepted = [](std::string_view key, json::Value value) {
        json::Value object = request_of(first_id).to_json();
        object.set(key, std::move(value));
        return PairingRequest::from_json(object).has_value();
    };
    CHECK(accepted("unknown", 1));
    CHECK(accepted("csr", std::string(10'240, 'x')));
    CHECK_FALSE(accepted("csr", std::string(10'241, 'x')));
    for (const auto id : {""sv, "../x"sv, "../../../../etc/x"sv, "01234567\0"sv})
        CHECK_FALSE(accepted("id", id));
    for (const auto name : {""sv, "../x"sv, "a b"sv, "a\x1b"sv}) CHECK_FALSE(accepted("hostname", name));
    CHECK_FALSE(PairingRequest::from_json(json::Array{}));
    CHECK_FALSE(PairingRequest::from_json({}));
}

TEST_CASE("requests wait for 600 seconds, oldest first") {
    const TempDir dir;
    const PairingQueue queue(dir.path());
    REQUIRE(queue.add(request_of(second_id, now - 600), limit, now));
    REQUIRE(queue.add(request_of("aaaaaaaa", now), limit, now));
    REQUIRE(queue.add(request_of(first_id, now - 10), limit, now));
    CHECK(ids(queue) == second_id + " " + first_id + " aaaaaaaa ");
    CHECK(ids(queue, now + 1) == first_id + " aaaaaaaa ");
    CHECK(code_of(queue.find(second_id, now + 1)) == Errc::not_found);
    CHECK(ids(queue, now + 601) == "");
}

TEST_CASE("at most the limit waits; answered and expired requests make room") {
    const TempDir dir;
    const PairingQueue queue(dir.path());
    REQUIRE(queue.add(request_of("aaaaaaaa", now - 500), 2, now));
    REQUIRE(queue.add(request_of("bbbbbbbb"), 2, now));
    const auto full = queue.add(request_of("cccccccc"), 2, now);
    CHECK(code_of(full) == Errc::busy);
    CHECK(full.error().message == "pairing queue full");
    REQUIRE(queue.deny(*queue.find("bbbbbbbb", now), "no"));
    CHECK(queue.add(request_of("cccccccc"), 2, now));
    CHECK(code_of(queue.add(request_of("dddddddd"), 2, now)) == Errc::busy);
    CHECK(queue.add(request_of("dddddddd"), 2, now + 101));  // the first one has expired
    CHECK(code_of(queue.add(request_of("eeeeeeee"), 0, now)) == Errc::busy);
}

TEST_CASE("an id that is taken is not given to another request") {
    const TempDir dir;
    const PairingQueue queue(dir.path());
    REQUIRE(queue.add(request_of(first_id), limit, now));
    PairingRequest other = request_of(first_id);
    other.hostname = "evil";
    CHECK(code_of(queue.add(other, limit, now)) == Errc::exists);
    CHECK(queue.find(first_id, now)->hostname == "web-01");
}

TEST_CASE("an answered request is neither listed nor found, and its answer is there for the listener") {
    const TempDir dir;
    const PairingQueue queue(dir.path());
    REQUIRE(queue.add(request_of(first_id), limit, now));
    REQUIRE(queue.add(request_of(second_id), limit, now));
    CHECK_FALSE(queue.answer(first_id));
    REQUIRE(queue.deny(*queue.find(first_id, now), "rejected by operator"));
    REQUIRE(
        approve(queue, *queue.find(second_id, now), json::Object{{"status", "approved"}, {"cert", "PEM"}}));
    CHECK(ids(queue) == "");
    CHECK(code_of(queue.find(first_id, now)) == Errc::not_found);
    CHECK(code_of(queue.find(second_id, now)) == Errc::not_found);
    CHECK(json::dump(*queue.answer(first_id)) == R"({"status":"denied","reason":"rejected by operator"})");
    CHECK(json::dump(*queue.answer(second_id)) == R"({"status":"approved","cert":"PEM"})");
    CHECK(dir.mode(second_id + ".approved") == 0600);
    queue.drop(first_id);
    CHECK(dir.names() == second_id + ".approved " + second_id + ".json");
}

TEST_CASE("an approval that is staged is no answer before it is committed") {
    const TempDir dir;
    const PairingQueue queue(dir.path());
    REQUIRE(queue.add(request_of(first_id), limit, now));
    {
        FileSet files;
        REQUIRE(
            queue.stage_approval(files, *queue.find(first_id, now), json::Object{{"status", "approved"}}));
        CHECK_FALSE(queue.answer(first_id));
        CHECK(ids(queue) == first_id + " ");
    }
    CHECK(dir.names() == first_id + ".json");
}

TEST_CASE("a denial counts more than an approval, and a broken answer is none") {
    const TempDir dir;
    const PairingQueue queue(dir.path());
    REQUIRE(queue.add(request_of(first_id), limit, now));
    for (const std::string& text :
         {std::string(), std::string("{"), std::string("[]"), std::string("{}"),
          std::string(R"({"status":1})"), R"({"status":")" + std::string(300'000, 'x') + "\"}"}) {
        dir.put(first_id + ".approved", text);
        CHECK_FALSE(queue.answer(first_id));
        CHECK(queue.find(first_id, now));  // it can be answered again
    }
    dir.put(first_id + ".approved", R"({"status":"approved"})");
    dir.put(first_id + ".denied", R"({"status":"denied"})");
    CHECK(queue.answer(first_id)->text("status") == "denied");
}

TEST_CASE("no id reaches a file outside the queue") {
    const TempDir dir;
    const PairingQueue queue(dir.directory("pairing"));
    dir.put("x.json", text_of(request_of(first_id)));
    dir.put("x.approved", R"({"status":"approved"})");
    for (const auto id :
         {"../x"sv, "../pairing/../x"sv, "./../x"sv, ""sv, "."sv, ".."sv, "/x"sv, "../x\0"sv, "x\x1b[2J"sv}) {
        const auto found = queue.find(id, now);
        CHECK_MESSAGE(code_of(found) == Errc::not_found, id);
        CHECK_FALSE(mentions(found.error().message, "\x1b"));
        CHECK_MESSAGE(!queue.answer(id), id);
        queue.drop(id);
        CHECK(code_of(queue.add(request_of(std::string(id)), limit, now)) == Errc::bad_request);
        CHECK(code_of(queue.deny(request_of(std::string(id)), "no")) == Errc::bad_request);
        CHECK(code_of(approve(queue, request_of(std::string(id)), json::Object{})) == Errc::bad_request);
    }
    CHECK(dir.names() == "pairing x.approved x.json");
    CHECK(dir.names("pairing") == "");
}

TEST_CASE("files that are no request are not listed, and go when the expired ones go") {
    const TempDir dir;
    const PairingQueue queue(dir.path());
    REQUIRE(queue.add(request_of(first_id), limit, now));
    dir.put("aaaaaaaa.json", "{");
    dir.put("bbbbbbbb.json", text_of(request_of(first_id)));  // another's id
    dir.put("cccccccc.json", "{\"x\":\"" + std::string(65'536, 'x') + "\"}");
    PairingRequest timeless = request_of("dddddddd");
    timeless.received = "yesterday";
    dir.put("dddddddd.json", text_of(timeless));
    REQUIRE(::mkfifo((dir / "eeeeeeee.json").c_str(), 0600) == 0);
    dir.put("ffffffff.json", text_of(request_of("ffffffff", now - 1201)));
    dir.put("ffffffff.denied", R"({"status":"denied"})");
    // Answered in the last second, and not delivered yet.
    dir.put("99999999.json", text_of(request_of("99999999", now - 601)));
    dir.put("99999999.approved", R"({"status":"approved"})");
    CHECK(ids(queue) == first_id + " ");
    for (const auto* id : {"bbbbbbbb", "dddddddd", "ffffffff"})
        CHECK(code_of(queue.find(id, now)) == Errc::not_found);
    CHECK_FALSE(queue.find("aaaaaaaa", now));
    queue.drop_expired(now);
    CHECK(dir.names() == first_id + ".json 99999999.approved 99999999.json");
}

TEST_CASE("what a file's name only begins with is not what is dropped") {
    const TempDir dir;
    const PairingQueue queue(dir.path());
    REQUIRE(queue.add(request_of(first_id), limit, now));
    dir.put(first_id + ".old.json", "{");
    dir.put("README.json", "{");
    queue.drop_expired(now);
    CHECK(queue.find(first_id, now));
    CHECK(ids(queue) == first_id + " ");
}

TEST_CASE("dropping all empties the queue of requests and answers, and of nothing else") {
    const TempDir dir;
    const PairingQueue queue(dir.path());
    REQUIRE(queue.lock());
    REQUIRE(queue.add(request_of(first_id), limit, now));
    REQUIRE(queue.deny(request_of(first_id), "x"));
    dir.put(second_id + ".approved", "{}");  // its request is gone
    dir.put("README", "");
    dir.put("notes.json", "");
    queue.drop_all();
    CHECK(dir.names() == ".lock README notes.json");
    PairingQueue(dir / "missing").drop_all();
    PairingQueue(dir / "missing").drop_expired(now);
}

TEST_CASE("a queue that does not exist is empty, one that may not be read is an error") {
    const TempDir dir;
    CHECK(ids(PairingQueue(dir / "missing")) == "");
    CHECK_FALSE(PairingQueue(dir.put("file", "")).list(now));
    REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
    const PairingQueue queue(dir / "closed/pairing");
    REQUIRE(queue.lock());
    REQUIRE(queue.add(request_of(first_id), limit, now));
    REQUIRE(::chmod((dir / "closed").c_str(), 0) == 0);
    CHECK(as_ordinary_user([&] {
              const auto found = queue.find(first_id, now);
              return !queue.list(now) && !queue.lock() && !found && found.error().code != Errc::not_found ? 0
                                                                                                          : 1;
          }) == 0);
    REQUIRE(::chmod((dir / "closed").c_str(), 0700) == 0);
}

TEST_CASE("one listener serves a queue") {
    const TempDir dir;
    const PairingQueue queue(dir / "pairing");
    const auto second_listener = [&] {
        return in_process([&] {
            const auto lock = queue.lock_listener();
            if (lock) return 0;
            return lock.error().code == Errc::locked && mentions(lock.error().message, "already running") ? 1
                                                                                                          : 2;
        });
    };
    {
        const auto listener = queue.lock_listener();
        REQUIRE(listener);
        CHECK(dir.mode("pairing") == 0700);
        CHECK(second_listener() == 1);
        CHECK(queue.lock());  // approve does not wait for the listener to end
        CHECK(queue.require_listener());
    }
    CHECK(second_listener() == 0);
    CHECK(code_of(queue.require_listener()) == Errc::not_found);
    CHECK(code_of(PairingQueue(dir / "missing").require_listener()) == Errc::not_found);
}

TEST_CASE("a request of version 2 counts at once, and can be seen and answered once it is revealed") {
    const TempDir dir;
    const PairingQueue queue(dir.path());
    PairingRequest request = request_of(first_id);
    request.version = 2;
    request.dispatcher_serial = "1a2b";
    request.ca_digest = "00ff";
    REQUIRE(queue.add(request, 1, now));
    CHECK(ids(queue) == "");
    CHECK(code_of(queue.find(first_id, now)) == Errc::not_found);
    CHECK(code_of(queue.add(request_of(second_id), 1, now)) == Errc::busy);
    request.sas = "4831-1920";
    REQUIRE(queue.update(request));
    CHECK(ids(queue) == first_id + " ");
    const auto found = queue.find(first_id, now);
    REQUIRE(found);
    CHECK(found->sas == "4831-1920");
    CHECK(found->version == 2);
    CHECK(found->dispatcher_serial == "1a2b");
    CHECK(found->ca_digest == "00ff");
    CHECK(dir.mode(first_id + ".json") == 0600);
    REQUIRE(queue.deny(*found, "rejected by operator"));
    CHECK(queue.answer(first_id)->scalar("pair_v") == "2");
    queue.drop(first_id);
    CHECK(code_of(queue.update(request)) == Errc::not_found);
    CHECK(dir.names() == "");
}

TEST_CASE("a queued request of another version, or with a check code that is none, is no request") {
    PairingRequest request = request_of(first_id);
    request.version = 2;
    request.sas = "4831-1920";
    CHECK(PairingRequest::from_json(request.to_json()));
    for (const auto sas : {"48311920"sv, "4831"sv, "4831-192x"sv, "4831-1920\n"sv}) {
        request.sas = sas;
        CHECK_MESSAGE(!PairingRequest::from_json(request.to_json()), sas);
    }
    request.sas.clear();
    for (const int version : {3, 99}) {
        request.version = version;
        CHECK_FALSE(PairingRequest::from_json(request.to_json()));
    }
}
