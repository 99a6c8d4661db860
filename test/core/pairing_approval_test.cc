#include "core/pairing_approval.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/authority.h"
#include "core/dispatcher_id.h"
#include "core/pairing_messages.h"
#include "core/serial_list.h"
#include "core/timestamp.h"
#include "test/core/crypto_fixture.h"
#include "test/temp_dir.h"

using namespace ctrlexec;
using ctrlexec::test::data;
using ctrlexec::test::day;
using ctrlexec::test::make_request;
using ctrlexec::test::new_ec_key;
using ctrlexec::testing::mentions;
using ctrlexec::testing::Pipe;
using ctrlexec::testing::start_process;
using ctrlexec::testing::status_of;
using ctrlexec::testing::TempDir;
using namespace std::string_view_literals;

namespace {

const std::string id = "0123456789abcdef";

// A dispatcher's files with one request waiting.
class Dispatcher {
  public:
    Dispatcher() {
        config.cert = dir.put("ctrl-exec.crt", data("old/ctrl-exec.crt"));
        config.ca_dir = dir / "ca";
        config.state_dir = dir / "state";
        REQUIRE(Authority::create(config.ca_dir, "", KeyType::ecdsa, 3650));
        auto lock = queue().lock_listener();
        REQUIRE(lock);
        listener.emplace(std::move(*lock));
    }
    PairingQueue queue() const { return PairingQueue(config.pairing_dir()); }
    Registry registry() const { return Registry(config.agents_dir()); }

    void add(const std::string& request_id, const std::string& hostname, const std::string& csr) const {
        PairingRequest request;
        request.id = request_id;
        request.hostname = hostname;
        request.ip = "10.0.0.7";
        request.csr = csr;
        request.nonce = "00ff";
        request.received = iso8601(now);
        request.agent_port = 7000;
        const auto lock = queue().lock();
        REQUIRE(lock);
        REQUIRE(queue().add(request, 10, now));
    }
    void add() const { add(id, "web-01", make_request({"web-01"}, key)); }
    bool is_waiting() const { return queue().find(id, now).has_value(); }

    const TempDir dir;
    const PrivateKey key = new_ec_key();
    const std::int64_t now = now_seconds();
    DispatcherConfig config;
    std::optional<FileLock> listener;
};

json::Object body_of(const std::string& csr, const std::string& hostname = "web-01") {
    return {{"hostname", hostname}, {"csr", csr}, {"nonce", "06ba031ebf93b5a2ba317abb3f87b35b"}};
}

std::string with(json::Value object, std::string_view key, json::Value value) {
    object.set(key, std::move(value));
    return json::dump(object);
}

}  // namespace

TEST_CASE("an approval signs the request, registers the agent and leaves the answer") {
    const Dispatcher d;
    d.add();
    const auto approval = approve_pairing(d.config, id, d.now);
    REQUIRE_MESSAGE(approval, (approval ? "" : approval.error().text()));
    const auto answer = d.queue().answer(id);
    REQUIRE(answer);
    CHECK(answer->text("status") == "approved");
    CHECK(answer->text("nonce") == "00ff");
    CHECK(answer->text("dispatcher_serial") == "02");
    CHECK(answer->text("ca") == d.dir.content("ca/ca.crt"));
    CHECK(answer->if_object()->size() == 6);
    CHECK(answer->text("dispatcher_id") == *dispatcher_id(d.config.state_dir));
    const auto certificate = Certificate::from_pem(answer->text("cert"), "answer");
    REQUIRE(certificate);
    CHECK(certificate->verify(*Certificate::from_file(d.dir / "ca/ca.crt"), d.now));
    CHECK(certificate->common_name() == "web-01");
    CHECK(certificate->holds_key_of(d.key));
    CHECK(certificate->not_after() == d.now + d.config.cert_days * day);
    CHECK(certificate->serial() == approval->serial);
    const auto agent = d.registry().find("web-01");
    REQUIRE(agent);
    CHECK(json::dump(agent->to_json()) == json::dump(approval->agent.to_json()));
    CHECK(agent->ip == "10.0.0.7");
    CHECK(agent->agent_port == 7000);
    CHECK(agent->reqid == id);
    CHECK(agent->paired == iso8601(d.now));
    CHECK(agent->expiry == certificate->expiry_text());
    CHECK(agent->dispatcher_serial == "02");
    CHECK(agent->serial_status == "current");
    CHECK_FALSE(approval->replaced);
    CHECK_FALSE(d.is_waiting());
    CHECK(approve_pairing(d.config, id, d.now).error().code == Errc::not_found);
}

TEST_CASE(
    "an agent that pairs again replaces its record only when that is said, and its certificate is revoked") {
    const Dispatcher d;
    d.add();
    const auto first = approve_pairing(d.config, id, d.now);
    REQUIRE(first);
    CHECK(d.registry().find("web-01")->certificate_serial == first->serial);
    d.add("aaaaaaaa", "web-01", make_request({"web-01"}, new_ec_key()));
    const auto refused = approve_pairing(d.config, "aaaaaaaa", d.now);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::exists);
    CHECK(mentions(refused.error().message, "--replace"));
    CHECK(d.registry().find("web-01")->certificate_serial == first->serial);
    ApprovalOptions options;
    options.replace = true;
    options.agent_port = 7500;
    options.lookup_by = "ip";
    const auto again = approve_pairing(d.config, "aaaaaaaa", d.now, options);
    REQUIRE(again);
    CHECK(again->replaced);
    CHECK(again->replaced_serial == first->serial);
    CHECK(SerialList::load(d.config.ca_dir + "/revoked-serials")->contains(first->serial));
    CHECK_FALSE(SerialList::load(d.config.ca_dir + "/revoked-serials")->contains(again->serial));
    CHECK(d.registry().find("web-01")->agent_port == 7500);
    CHECK(d.registry().find("web-01")->lookup_by == "ip");
    CHECK(d.registry().find("web-01")->reqid == "aaaaaaaa");
}

TEST_CASE("the queue and the CA of an old deployment are taken over") {
    Dispatcher d;
    const std::int64_t received = *parse_iso8601("2026-11-22T12:37:27Z");
    std::filesystem::remove_all(d.config.ca_dir);
    d.dir.directory("ca");
    for (const std::string name : {"ca.crt", "ca.key", "ca.serial"})
        d.dir.put("ca/" + name, data("old/" + name), 0600);
    REQUIRE(d.queue().lock());
    d.dir.put("state/pairing/e96764166d3065c7.json", data("old/pairing-request.json"));
    const auto approval = approve_pairing(d.config, "e96764166d3065c7", received + 600);
    REQUIRE_MESSAGE(approval, (approval ? "" : approval.error().text()));
    CHECK(approval->agent.hostname == "agent1");
    const auto certificate =
        Certificate::from_pem(d.queue().answer("e96764166d3065c7")->text("cert"), "answer");
    REQUIRE(certificate);
    CHECK(certificate->verify(*Certificate::from_file(d.dir / "ca/ca.crt"), received + 600));
}

TEST_CASE("what does not wait cannot be approved or denied") {
    const Dispatcher d;
    d.add();
    for (const auto other : {"ffffffffffffffff"sv, "../pairing/0123456789abcdef"sv, ""sv, "0123456789abcde"sv,
                             "0123456789ABCDEF"sv, "0123456789abcdef.json"sv}) {
        CHECK_MESSAGE(approve_pairing(d.config, other, d.now).error().code == Errc::not_found, other);
        CHECK_MESSAGE(deny_pairing(d.config, other, d.now).error().code == Errc::not_found, other);
    }
    CHECK(approve_pairing(d.config, id, d.now + 601).error().code == Errc::not_found);
    CHECK(d.is_waiting());
    CHECK(d.registry().list()->agents.empty());
}

TEST_CASE("an approval that no listener could deliver is refused, and the request stays") {
    Dispatcher d;
    d.add();
    d.listener.reset();
    const auto approval = approve_pairing(d.config, id, d.now);
    REQUIRE_FALSE(approval);
    CHECK(approval.error().code == Errc::not_found);
    CHECK(mentions(approval.error().message, "pairing-mode"));
    CHECK(d.is_waiting());
    CHECK(d.registry().list()->agents.empty());
}

TEST_CASE("a denial leaves its answer, registers nothing and cannot be undone") {
    const Dispatcher d;
    d.add();
    const auto denied = deny_pairing(d.config, id, d.now);
    REQUIRE(denied);
    CHECK(denied->hostname == "web-01");
    CHECK(json::dump(*d.queue().answer(id)) == R"({"status":"denied","reason":"rejected by operator"})");
    CHECK(approve_pairing(d.config, id, d.now).error().code == Errc::not_found);
    CHECK(d.registry().list()->agents.empty());
}

TEST_CASE("an approval that fails leaves the request waiting, and says what is missing") {
    struct Row {
        void (*spoil)(Dispatcher&);
        std::string_view message;
    };
    const Row rows[] = {
        {[](Dispatcher& d) { std::filesystem::remove(d.dir / "ca/ca.crt"); }, "setup-ca"},
        {[](Dispatcher& d) { std::filesystem::remove(d.dir / "ca/ca.key"); }, "ca.key"},
        {[](Dispatcher& d) { d.dir.put("ca/ca.key", d.key.to_pem(), 0600); }, "does not belong to"},
        {[](Dispatcher& d) { ::chmod((d.dir / "ca/ca.key").c_str(), 0644); }, "chmod 600"},
        {[](Dispatcher& d) { d.dir.put("ca/ca.serial", "not hex"); }, "ca.serial"},
        {[](Dispatcher& d) { d.config.cert = d.dir / "missing.crt"; }, "missing.crt"},
        {[](Dispatcher& d) { d.dir.put("state/agents", "a file"); }, "state/agents"},
        {[](Dispatcher& d) { d.config.cert_days = 0; }, "days"},
    };
    for (const auto& row : rows) {
        Dispatcher d;
        d.add();
        row.spoil(d);
        const auto approval = approve_pairing(d.config, id, d.now);
        REQUIRE_MESSAGE(!approval, row.message);
        CHECK_MESSAGE(mentions(approval.error().text(), row.message), approval.error().text());
        CHECK_MESSAGE(d.is_waiting(), row.message);
        CHECK(d.dir.names("state/pairing") == ".listener .lock " + id + ".json");
    }
}

TEST_CASE("an answer that cannot be left is no approval") {
    const Dispatcher d;
    d.add();
    d.dir.directory("state/pairing/" + id + ".approved");
    CHECK_FALSE(approve_pairing(d.config, id, d.now));
    CHECK(d.is_waiting());
    CHECK(d.dir.names("state/pairing") == ".listener .lock " + id + ".approved " + id + ".json");
}

TEST_CASE("a queued file whose certificate request is broken or unfit is never signed") {
    const Dispatcher d;
    const std::string sound = make_request({"web-01"}, d.key);
    std::string damaged = sound;
    damaged[damaged.size() / 2] = damaged[damaged.size() / 2] == 'A' ? 'B' : 'A';
    const std::vector<std::pair<std::string, std::string>> requests{
        {"web-01", ""},
        {"web-01", "garbage"},
        {"web-01", damaged},
        {"web-01", sound + sound},
        {"web-01", d.key.to_pem()},
        {"web-01", data("keys/rsa-1024.csr")},
        {"web-01", data("keys/p384.csr")},
        {std::string(65, 'n'), sound},  // no certificate can hold that name
    };
    for (const auto& request : requests) {
        d.add(id, request.first, request.second);
        CHECK_MESSAGE(!approve_pairing(d.config, id, d.now), request.second.substr(0, 100));
        CHECK_FALSE(d.queue().answer(id));
        CHECK(d.registry().list()->agents.empty());
        d.queue().drop(id);
    }
}

TEST_CASE("of several operators who answer the same request exactly one succeeds") {
    const Dispatcher d;
    d.add();
    const Pipe start;
    const Pipe finished;
    std::vector<pid_t> operators;
    for (int i = 0; i < 8; ++i) {
        operators.push_back(start_process([&, i] {
            if (!start.wait()) return 2;
            const bool done = i % 4 != 0 ? approve_pairing(d.config, id, d.now).has_value()
                                         : deny_pairing(d.config, id, d.now).has_value();
            return !finished.tell() ? 3 : done ? 0 : 1;
        }));
    }
    {
        const auto lock = d.queue().lock();
        REQUIRE(lock);
        for (int i = 0; i < 8; ++i) REQUIRE(start.tell());
        CHECK(finished.is_silent_for(200));  // the lock keeps each of them from looking at the queue
    }
    int succeeded = 0;
    for (const pid_t one : operators) {
        const int status = status_of(one);
        CHECK(status <= 1);
        succeeded += status == 0;
    }
    CHECK(succeeded == 1);
    const bool approved = d.queue().answer(id)->text("status") == "approved";
    CHECK(d.registry().list()->agents.size() == (approved ? 1 : 0));
}

TEST_CASE("a pairing body of an old or a newer agent becomes a request") {
    const std::string csr = make_request({"web-01"}, new_ec_key());
    const auto old = parse_pairing_body(json::dump(body_of(csr)), false);
    REQUIRE(old);
    CHECK(old->hostname == "web-01");
    CHECK(old->csr == csr);
    CHECK(old->nonce == "06ba031ebf93b5a2ba317abb3f87b35b");
    CHECK(old->code == pairing_code(csr));
    CHECK(old->version == 1);
    CHECK(old->agent_port == 0);
    CHECK(old->lookup_by == "");
    json::Value newer = body_of(csr);
    newer.set("agent_port", "7000");
    newer.set("lookup_by", "ip");
    newer.set("pair_v", 3);
    newer.set("sas_commit", std::string(64, 'a'));
    newer.set("tomorrow", json::Object{{"kid", "x"}});
    const auto request = parse_pairing_body(json::dump(newer), false);
    REQUIRE(request);
    CHECK(request->agent_port == 7000);
    CHECK(request->version == 2);
    CHECK(request->lookup_by == "ip");
    CHECK(parse_pairing_body(with(body_of(csr), "agent_port", 70'000), false)->agent_port == 0);
    CHECK(parse_pairing_body(with(body_of(csr), "lookup_by", "../x"), false)->lookup_by == "");
}

TEST_CASE("an agent cannot choose its id, address, time or code") {
    json::Value body = body_of(make_request({"web-01"}, new_ec_key()));
    for (const auto* key : {"id", "ip", "received", "code"}) body.set(key, "01234567");
    const auto request = parse_pairing_body(json::dump(body), false);
    REQUIRE(request);
    CHECK(request->id == "");
    CHECK(request->ip == "");
    CHECK(request->received == "");
    CHECK(request->code != "01234567");
}

TEST_CASE("a pairing body with anything malformed is refused") {
    const PrivateKey key = new_ec_key();
    const std::string csr = make_request({"web-01"}, key);
    std::string tampered = csr;
    tampered[tampered.size() / 2] = tampered[tampered.size() / 2] == 'A' ? 'B' : 'A';
    std::vector<std::string> bodies{"", "null", "[]", "\"x\"", "{}", "{", json::dump(body_of(csr)) + "x"};
    for (const auto name :
         {""sv, "../web-01"sv, ".."sv, "a b"sv, "web-01\n"sv, "web-01\0"sv, "-x"sv, "\x1b[2J"sv}) {
        bodies.push_back(with(body_of(csr), "hostname", name));
    }
    for (const auto nonce : {""sv, "xyz"sv, "00 ff"sv, "0x00"sv, "00ff\0"sv, "00ff\n"sv}) {
        bodies.push_back(with(body_of(csr), "nonce", nonce));
    }
    bodies.push_back(with(body_of(csr), "nonce", std::string(129, 'a')));
    bodies.push_back(with(body_of(csr), "nonce", 123));
    bodies.push_back(with(body_of(csr), "hostname", json::Array{"web-01"}));
    for (const std::string& bad : {std::string(), std::string("garbage"), tampered, csr + csr, key.to_pem(),
                                   data("keys/rsa-1024.csr"), make_request({"web-01", "web-02"}, key),
                                   make_request({"web-01\x1b[2J"}, key), make_request({}, key)}) {
        bodies.push_back(with(body_of(csr), "csr", bad));
    }
    for (const auto& body : bodies) {
        const auto request = parse_pairing_body(body, false);
        REQUIRE_MESSAGE(!request, body);
        CHECK_MESSAGE(request.error().code == Errc::bad_request, body);
        CHECK_MESSAGE(!mentions(request.error().text(), "\x1b"), body);
    }
    CHECK_FALSE(parse_pairing_body(with(body_of(csr), "x", std::string(65'536, 'x')), false));
    CHECK_FALSE(parse_pairing_body(with(body_of(csr), "csr", csr + std::string(10'240, '\n')), false));
}

TEST_CASE("a request in another agent's name is refused unless the operator allows it") {
    const std::string csr = make_request({"web-02"}, new_ec_key());
    const auto refused = parse_pairing_body(json::dump(body_of(csr)), false);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::bad_request);
    CHECK(mentions(refused.error().message, "'web-02'"));
    CHECK(mentions(refused.error().message, "'web-01'"));
    const auto allowed = parse_pairing_body(json::dump(body_of(csr)), true);
    REQUIRE(allowed);
    CHECK(allowed->hostname == "web-01");
    CHECK_FALSE(parse_pairing_body(json::dump(body_of(make_request({"Web-01"}, new_ec_key()))), false));
}
