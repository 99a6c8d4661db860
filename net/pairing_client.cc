#include "net/pairing_client.h"

#include <fmt/format.h>

#include <optional>

#include "core/agent_identity.h"
#include "core/certificate.h"
#include "core/csr.h"
#include "core/digest.h"
#include "core/directory_lock.h"
#include "core/file.h"
#include "core/hostname.h"
#include "core/json.h"
#include "core/pairing_queue.h"
#include "core/protocol.h"
#include "core/serial.h"
#include "core/target.h"
#include "core/timestamp.h"
#include "core/trusted_dispatchers.h"
#include "core/utf8.h"
#include "net/connect.h"
#include "net/deadline.h"
#include "net/http_connection.h"
#include "net/tls_stream.h"

namespace ctrlexec {
namespace {

constexpr std::chrono::seconds connect_timeout{10};
constexpr std::chrono::seconds queue_timeout{30};
constexpr std::chrono::seconds key_timeout{120};  // RSA-4096 on a small machine
constexpr HttpLimits answer_limits{8192, 32, 256 * 1024};
constexpr std::size_t max_answer = 256 * 1024;

Result<void> check_directories(const AgentConfig& config) {
    for (const std::string& path : {config.cert, config.key, config.ca, config.dispatcher_serial_path}) {
        TRY_DO(check_writable(directory_of(path)));
    }
    return success();
}

Result<PairingIdentity> make_identity(KeyType type, const std::string& hostname) {
    TRY(const PrivateKey key, PrivateKey::generate(type));
    TRY(const CertificateRequest csr, CertificateRequest::create(key, hostname));
    return PairingIdentity{key.to_pem(), csr.to_pem()};
}

// With the key that this agent has; an empty one when there is none that can be kept.
PairingIdentity keep_identity(const AgentConfig& config) {
    const auto present = load_agent_identity(config);
    if (!present || present->key.type() != config.key_type) return {};
    const auto csr = CertificateRequest::create(present->key, config.hostname);
    return csr ? PairingIdentity{present->key.to_pem(), csr->to_pem()} : PairingIdentity();
}

asio::awaitable<Result<PairingIdentity>> new_identity(Runtime& runtime, AgentConfig config,
                                                      std::shared_ptr<PairingIdentity> spare, bool new_key) {
    if (spare && !spare->key_pem.empty()) {
        PairingIdentity identity;
        std::swap(identity, *spare);
        co_return std::move(identity);
    }
    std::function<Result<PairingIdentity>()> work = [config, new_key]() -> Result<PairingIdentity> {
        if (PairingIdentity kept = new_key ? PairingIdentity() : keep_identity(config); !kept.key_pem.empty())
            return kept;
        return make_identity(config.key_type, config.hostname);
    };
    co_return co_await offload<PairingIdentity>(runtime.pool(), key_timeout, std::move(work));
}

Result<json::Value> parse_answer(const HttpMessage& message) {
    auto value = json::parse(message.body, max_answer);
    if (value && !value->text("status").empty()) return value;
    return fail(Errc::bad_answer,
                "the dispatcher's answer is not one of the pairing protocol; is this its pairing port?");
}

// The id under which the dispatcher that approved us is known; old ones have none, and there is only one of
// them for a CA.
Result<std::string> dispatcher_id(const json::Value& answer, const Certificate& authority) {
    std::string id(answer.text("dispatcher_id"));
    if (id.empty()) {
        const std::string digest = to_hex(sha256(authority.spki_der()));
        return fmt::format("{}-{}", legacy_dispatcher, digest.substr(0, 12));
    }
    if (!is_valid_dispatcher_id(id))
        return fail(Errc::bad_answer, "the dispatcher's id in the answer is not valid");
    return id;
}

// Those that stay trusted beside the new one: those of the same CA, if they can be read at all.
TrustedDispatchers staying_dispatchers(const AgentConfig& config, const Certificate& authority) {
    auto trusted = TrustedDispatchers::load(config.dispatcher_serial_path);
    if (!trusted) return {};
    const auto present = Certificate::from_file(config.ca);
    if (!present || present->spki_der() != authority.spki_der()) trusted->clear();
    return std::move(*trusted);
}

// Stores nothing unless the certificate is ours, signed by the CA that came with it, and valid.
Result<void> store(const AgentConfig& config, const PairingIdentity& identity, const json::Value& answer) {
    const std::string ca_pem(answer.text("ca"));
    const std::string serial_text = answer.scalar("dispatcher_serial");
    TRY(const Certificate certificate,
        Certificate::from_pem(answer.text("cert"), "the certificate in the answer"));
    TRY(const Certificate authority, Certificate::from_pem(ca_pem, "the CA in the answer"));
    TRY(const PrivateKey key, PrivateKey::from_pem(identity.key_pem, "the new key"));
    if (!certificate.holds_key_of(key))
        return fail(Errc::bad_answer, "the certificate in the answer is not for our key");
    if (const auto verified = certificate.verify(authority, now_seconds()); !verified) {
        return fail(Errc::bad_answer,
                    "the certificate in the answer is not acceptable: " + verified.error().text());
    }
    std::string serial;
    if (!serial_text.empty()) {
        const auto normal = normalize_serial(serial_text);
        if (!normal) return fail(Errc::bad_answer, "the dispatcher serial in the answer is no hex number");
        serial = *normal;
    }
    TRY(const std::string id, dispatcher_id(answer, authority));
    TRY(const auto lock, DirectoryLock::acquire(directory_of(config.dispatcher_serial_path)));
    TrustedDispatchers trusted = staying_dispatchers(config, authority);
    TRY_DO(trusted.pair(id, serial, now_seconds()));
    FileSet files;
    TRY_DO(files.stage(config.key, identity.key_pem, 0640));
    TRY_DO(files.stage(config.ca, authority.to_pem(), 0644));
    TRY_DO(trusted.stage(files, config.dispatcher_serial_path));
    TRY_DO(files.stage(config.cert, certificate.to_pem(), 0640));
    return files.commit();
}

Result<void> conclude(const AgentConfig& config, const PairingIdentity& identity, const std::string& nonce,
                      const json::Value& answer) {
    const std::string_view status = answer.text("status");
    if (status == "denied") {
        const std::string reason = printable(answer.scalar("reason"));
        return fail(reason == "approval timeout" ? Errc::timed_out : Errc::denied,
                    "pairing denied: " + reason);
    }
    if (status != "approved") return fail(Errc::bad_answer, "the dispatcher neither approved nor denied");
    if (!equal_constant_time(answer.text("nonce"), nonce)) {
        return fail(Errc::bad_answer,
                    "the answer has another nonce than our request: somebody may be in the path");
    }
    return store(config, identity, answer);
}

struct Link {
    std::unique_ptr<TlsStream> stream;
    std::unique_ptr<Deadline> deadline;
};

asio::awaitable<Result<Link>> open_link(Runtime& runtime, std::string host, int port) {
    CO_TRY(auto endpoints, co_await resolve(runtime, host, port, connect_timeout));
    CO_TRY(auto socket, co_await connect(std::move(endpoints), connect_timeout));
    // Nobody is known yet, so nobody can be verified: the operator compares the code.
    TlsContext::Options options;
    options.role = TlsContext::Role::client;
    CO_TRY(auto tls, TlsContext::create(options));
    Link link;
    link.stream = std::make_unique<TlsStream>(std::move(socket), std::move(tls));
    TlsStream* stream = link.stream.get();
    link.deadline = std::make_unique<Deadline>(runtime.io().get_executor(), [stream] { stream->close(); });
    link.deadline->arm(connect_timeout);
    const auto shaken = co_await stream->handshake_client(host);
    link.deadline->disarm();
    if (!shaken) {
        co_return fail(Errc::tls_failed,
                       fmt::format("TLS with {} failed: {}", host_port(host, port), shaken.error().text()));
    }
    co_return std::move(link);
}

asio::awaitable<Result<json::Value>> next_answer(HttpConnection* http, Deadline* deadline,
                                                 std::chrono::seconds timeout, std::string what) {
    deadline->arm(timeout);
    auto message = co_await http->read();
    deadline->disarm();
    if (message) co_return parse_answer(*message);
    if (deadline->expired())
        co_return fail(Errc::timed_out, fmt::format("{} did not come within {} s", what, timeout.count()));
    co_return fail(message.error().code, fmt::format("{} did not come: {}", what, message.error().text()));
}

std::string pairing_body(const AgentConfig& config, const PairingIdentity& identity,
                         const std::string& nonce) {
    json::Object body{{"hostname", config.hostname}, {"csr", identity.csr_pem}, {"nonce", nonce}};
    if (config.port != 0 && config.port != 7443) body.push_back({"agent_port", config.port});
    return json::dump(json::Value(std::move(body)));
}

std::string pairing_head(const std::string& host, std::size_t length) {
    return request_head("POST", "/pair", host, 0, true, length, {{protocol_header, protocol_generation}});
}

// What a dispatcher says instead of a receipt.
Error refusal(const json::Value& answer) {
    const std::string reason = printable(answer.scalar("reason"));
    return fail(reason == "pairing queue full" ? Errc::busy : Errc::denied,
                fmt::format("the dispatcher refused the request: {}", reason));
}

}  // namespace

asio::awaitable<Result<void>> request_pairing(Runtime& runtime, AgentConfig config, PairingAttempt attempt) {
    if (!is_valid_hostname(config.hostname)) {
        co_return fail(Errc::config,
                       fmt::format("{}: hostname '{}' is no valid name", config.path, config.hostname));
    }
    CO_TRY_DO(check_directories(config));
    CO_TRY(PairingIdentity identity, co_await new_identity(runtime, config, attempt.spare, attempt.new_key));
    const std::string nonce = random_hex(16);

    auto opened = co_await open_link(runtime, attempt.dispatcher, attempt.port);
    if (!opened) {
        if (attempt.spare) *attempt.spare = std::move(identity);
        co_return std::move(opened).error();
    }
    const Link link = std::move(*opened);
    HttpConnection http(*link.stream, HttpParser::Kind::response, answer_limits);
    std::string body = pairing_body(config, identity, nonce);
    const std::string host = host_port(attempt.dispatcher, attempt.port);
    std::string head = pairing_head(host, body.size());
    link.deadline->arm(queue_timeout);
    CO_TRY_DO(co_await http.write(std::move(head), std::move(body)));
    CO_TRY(const json::Value first,
           co_await next_answer(&http, link.deadline.get(), queue_timeout, "the dispatcher's receipt"));
    if (first.text("status") == "error") {
        co_return refusal(first);
    }
    if (first.text("status") != "pending")
        co_return fail(Errc::bad_answer, "the dispatcher did not queue the request");
    // Nobody has authenticated this peer, and the id goes to terminals and into shell variables.
    if (!is_valid_reqid(first.scalar("reqid"))) {
        co_return fail(Errc::bad_answer, "the dispatcher's receipt has no valid request id");
    }
    if (attempt.queued) attempt.queued(first.scalar("reqid"), pairing_code(identity.csr_pem));
    CO_TRY(const json::Value last,
           co_await next_answer(&http, link.deadline.get(), attempt.wait, "the operator's answer"));
    co_return conclude(config, identity, nonce, last);
}

}  // namespace ctrlexec
