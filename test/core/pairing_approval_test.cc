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
#include "core/digest.h"
#include "core/dispatcher_id.h"
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
    // One of version 2, whose agent was told of these certificates.
    void add_revealed(const std::string& request_id) const {
        PairingRequest request;
        request.id = request_id;
        request.hostname = "web-01";
        request.ip = "10.0.0.7";
        request.csr = make_request({"web-01"}, key);
        request.nonce = "00ff";
        request.received = iso8601(now);
        request.version = 2;
        request.sas = "4831-1920";
        request.dispatcher_serial = "02";
        request.ca_digest = to_hex(sha256(data_of_ca()));
        const auto lock = queue().lock();
        REQUIRE(lock);
        REQUIRE(queue().add(request, 10, now));
    }
    std::string data_of_ca() const { return Certificate::from_file(config.ca_dir + "/ca.crt")->to_pem(); }
    bool is_waiting() const { return queue().find(id, now).has_value(); }

    const TempDir dir;
    const PrivateKey key = new_ec_key();
    const std::int64_t now = now_seconds();
    DispatcherConfig config;
    std::optional<FileLock> listener;
};

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

TEST_CASE("a check code approves the request that has it, and no other") {
    const Dispatcher d;
    d.add();
    ApprovalOptions options;
    options.sas = "4831-1920";
    CHECK(approve_pairing(d.config, id, d.now, options).error().code == Errc::denied);  // it has none
    REQUIRE(deny_pairing(d.config, id, d.now));
    d.add_revealed("aaaaaaaa");
    options.sas = "4831-1921";
    const auto wrong = approve_pairing(d.config, "aaaaaaaa", d.now, options);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().code == Errc::denied);
    CHECK_FALSE(mentions(wrong.error().text(), "1920"));
    CHECK(d.registry().list()->agents.empty());
    options.sas = "4831-1920";
    const auto approval = approve_pairing(d.config, "aaaaaaaa", d.now, options);
    REQUIRE(approval);
    CHECK(d.registry().find("web-01")->trust == "sas");
    CHECK(mentions(approval->trust_text(), "pairing-confirm 4831-1920"));
    CHECK(d.queue().answer("aaaaaaaa")->scalar("pair_v") == "2");
}

TEST_CASE("an agent that asks again with its registered key is the same agent") {
    const Dispatcher d;
    d.add_revealed(id);
    const auto first = approve_pairing(d.config, id, d.now);
    REQUIRE(first);
    CHECK(first->agent.trust == "unchecked");
    CHECK(mentions(first->trust_text(), "4831-1920"));
    d.add_revealed("aaaaaaaa");
    const auto again = approve_pairing(d.config, "aaaaaaaa", d.now);
    REQUIRE(again);
    CHECK(again->replaced_serial == first->serial);
    CHECK(SerialList::load(d.config.ca_dir + "/revoked-serials")->contains(first->serial));
    CHECK(d.registry().find("web-01")->certificate_serial == again->serial);
}

TEST_CASE("nothing is approved that the agent would refuse, since our certificates have changed") {
    Dispatcher d;
    d.add_revealed(id);
    d.config.cert = d.dir.put("other.crt", d.data_of_ca());
    const auto rotated = approve_pairing(d.config, id, d.now);
    REQUIRE_FALSE(rotated);
    CHECK(mentions(rotated.error().message, "let it ask again"));
    CHECK(d.is_waiting());
    CHECK(d.registry().list()->agents.empty());
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
