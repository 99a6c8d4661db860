#include "net/pairing_client.h"

#include <fmt/format.h>

#include <optional>

#include "core/agent_identity.h"
#include "core/csr.h"
#include "core/file.h"
#include "core/hostname.h"
#include "core/json.h"
#include "core/kept_request.h"
#include "core/protocol.h"
#include "core/target.h"
#include "core/timestamp.h"
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

Result<KeptRequest> with_new_key(const AgentConfig& config) {
    TRY(const PrivateKey key, PrivateKey::generate(config.key_type));
    return make_request(key, config.hostname);
}

// What an earlier try has kept; nothing when there is none, or when it does not fit.
std::optional<KeptRequest> kept_request(const AgentConfig& config, const Identity* present,
                                        const PairingAttempt& attempt) {
    if (attempt.new_key && !attempt.again) return std::nullopt;
    auto kept = load_kept_request(config);
    if (!kept) {
        if (kept.error().code != Errc::not_found && attempt.warn)
            attempt.warn(fmt::format("not asking with the kept request: {}; a new one takes its place",
                                     kept.error().text()));
        return std::nullopt;
    }
    if (attempt.again || present == nullptr || kept->key_pem == present->key.to_pem())
        return std::move(*kept);
    return std::nullopt;
}

// An agent that is paired keeps its key.
Result<KeptRequest> choose_request(const AgentConfig& config, const PairingAttempt& attempt) {
    const auto identity = load_agent_identity(config);
    const bool fits = identity && identity->key.type() == config.key_type;
    const Identity* const present = fits ? &*identity : nullptr;
    if (auto kept = kept_request(config, present, attempt)) return std::move(*kept);
    auto request = present != nullptr && !attempt.new_key ? make_request(present->key, config.hostname)
                                                          : with_new_key(config);
    if (request) TRY_DO(keep_request(config, *request));
    return request;
}

Result<json::Value> parse_answer(const HttpMessage& message) {
    auto value = json::parse(message.body, max_answer);
    if (value && !value->text("status").empty()) return value;
    return fail(Errc::bad_answer,
                "the dispatcher's answer is not one of the pairing protocol; is this its pairing port?");
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

std::string pairing_head(std::string_view path, const std::string& host, std::size_t length) {
    return request_head("POST", path, host, 0, true, length, {{protocol_header, protocol_generation}});
}

// What is shown of a request that waits, by pairing-status too. That it cannot be written changes nothing.
void note_receipt(const AgentConfig& config, KeptRequest request, const std::string& dispatcher,
                  const PairingReceipt& receipt) {
    request.dispatcher = dispatcher;
    request.reqid = receipt.reqid;
    request.sas = receipt.sas;
    request.asked = iso8601(now_seconds());
    (void)keep_request(config, request);
}

void tell_queued(const PairingAttempt& attempt, const PairingQuestion& question,
                 const PairingReceipt& receipt) {
    QueuedRequest queued;
    queued.reqid = receipt.reqid;
    queued.code = pairing_code(question.request.csr_pem);
    queued.sas = receipt.sas;
    queued.by_token = question.proofs.token != nullptr;
    attempt.queued(queued);
}

}  // namespace

asio::awaitable<Result<NewPairing>> request_pairing(Runtime& runtime, AgentConfig config,
                                                    PairingAttempt attempt) {
    if (!is_valid_hostname(config.hostname)) {
        co_return fail(Errc::config,
                       fmt::format("{}: hostname '{}' is no valid name", config.path, config.hostname));
    }
    CO_TRY_DO(check_directories(config));
    std::function<Result<KeptRequest>()> choose = [config, attempt] {
        return choose_request(config, attempt);
    };
    CO_TRY(KeptRequest request,
           co_await offload<KeptRequest>(runtime.pool(), key_timeout, std::move(choose)));
    CO_TRY(PairingQuestion question,
           PairingQuestion::create(config.hostname, std::move(request), attempt.proofs));
    const std::string host = host_port(attempt.dispatcher, attempt.port);
    question.port = config.port;
    question.dispatcher = host;

    CO_TRY(const Link link, co_await open_link(runtime, attempt.dispatcher, attempt.port));
    const auto leaf = link.stream->peer_certificate();
    if (!leaf) co_return fail(Errc::tls_failed, host + " has shown no certificate");
    HttpConnection http(*link.stream, HttpParser::Kind::response, answer_limits);
    std::string body = question.body(*leaf);
    std::string head = pairing_head("/pair", host, body.size());
    link.deadline->arm(queue_timeout);
    CO_TRY_DO(co_await http.write(std::move(head), std::move(body)));
    CO_TRY(const json::Value first,
           co_await next_answer(&http, link.deadline.get(), queue_timeout, "the dispatcher's receipt"));
    CO_TRY(const PairingReceipt receipt, read_receipt(question, first, *leaf, now_seconds()));
    if (receipt.version >= 2) {
        // Only now: with our nonce known before, somebody in the path could choose the code.
        body = question.reveal(receipt.reqid);
        head = pairing_head("/pair/reveal", host, body.size());
        link.deadline->arm(queue_timeout);
        CO_TRY_DO(co_await http.write(std::move(head), std::move(body)));
        link.deadline->disarm();
    }
    note_receipt(config, question.request, host, receipt);
    if (attempt.queued) tell_queued(attempt, question, receipt);
    CO_TRY(const json::Value last,
           co_await next_answer(&http, link.deadline.get(), attempt.wait, "the operator's answer"));
    auto decided = read_decision(question, receipt, last, *leaf, now_seconds());
    // There is no answer that could be given again; the next try shall be another request.
    if (!decided && decided.error().code == Errc::denied) (void)remove_file(kept_request_path(config));
    co_return decided;
}

}  // namespace ctrlexec
