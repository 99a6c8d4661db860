#include "core/pairing_approval.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/authority.h"
#include "core/config_file.h"
#include "core/csr.h"
#include "core/digest.h"
#include "core/dispatcher_id.h"
#include "core/dispatcher_identity.h"
#include "core/hostname.h"
#include "core/log.h"
#include "core/revocation.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_pairing_body = 64 * 1024;

bool is_valid_nonce(std::string_view nonce) {
    return !nonce.empty() && nonce.size() <= 128 && std::all_of(nonce.begin(), nonce.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    });
}

Result<Certificate> sign(const DispatcherConfig& config, const PairingRequest& request, std::int64_t now,
                         std::string& authority_pem) {
    TRY(const CertificateRequest csr, CertificateRequest::from_pem(request.csr));
    TRY(Authority authority, Authority::open(config.ca_dir, config.ca_passphrase_file));
    authority_pem = authority.certificate().to_pem();
    return authority.issue(csr, request.hostname, config.cert_days, now);
}

AgentRecord make_record(const PairingRequest& request, const Certificate& certificate,
                        const std::string& serial, const ApprovalOptions& options, std::int64_t now) {
    AgentRecord record;
    record.hostname = request.hostname;
    record.ip = request.ip;
    record.paired = iso8601(now);
    record.expiry = certificate.expiry_text();
    record.key = key_fingerprint(certificate.spki_der());
    record.certificate_serial = certificate.serial();
    record.reqid = request.id;
    record.dispatcher_serial = serial;
    record.serial_confirmed = record.paired;
    record.agent_port = options.agent_port != 0 ? options.agent_port : request.agent_port;
    record.lookup_by = options.lookup_by.empty() ? request.lookup_by : options.lookup_by;
    return record;
}

// The agent that has the name now. A record that cannot be read is in the way too, without a serial.
std::optional<AgentRecord> find_registered(const Registry& registry, const std::string& hostname) {
    auto record = registry.find(hostname);
    if (record) return std::move(*record);
    if (record.error().code == Errc::not_found) return std::nullopt;
    AgentRecord unreadable;
    unreadable.hostname = hostname;
    return unreadable;
}

Error would_replace(const AgentRecord& agent) {
    return fail(
        Errc::exists,
        fmt::format("an agent '{}' is registered already (paired {}); if this one shall take its place, "
                    "approve it with --replace (in pairing-mode: r): the old certificate is then revoked",
                    agent.hostname, agent.paired.empty() ? "-" : printable(agent.paired)));
}

Result<void> revoke_replaced(const DispatcherConfig& config, const AgentRecord& agent, std::int64_t now) {
    if (agent.certificate_serial.empty()) return success();
    TRY_DO(revoke_serial(config.ca_dir + "/revoked-serials", agent.certificate_serial,
                         fmt::format("{}, replaced {}", agent.hostname, iso8601(now))));
    return success();
}

}  // namespace

std::string Approval::text() const {
    std::string text = fmt::format("Approved: {} ({}), certificate valid until {}.", agent.hostname,
                                   printable(agent.ip), agent.expiry);
    if (!replaced) return text;
    text += fmt::format("\nIt replaces the earlier registration of {}", agent.hostname);
    text += replaced_serial.empty()
                ? std::string(", whose certificate stays valid: its serial was not recorded.")
                : fmt::format(", whose certificate is revoked (serial {}).", replaced_serial);
    return text;
}

Result<Approval> approve_pairing(const DispatcherConfig& config, std::string_view id, std::int64_t now,
                                 const ApprovalOptions& options) {
    const PairingQueue queue(config.pairing_dir());
    const Registry registry(config.agents_dir());
    TRY(const FileLock lock, queue.lock());
    TRY(const PairingRequest request, queue.find(id, now));
    TRY_DO(queue.require_listener());
    TRY(const Certificate dispatcher, load_dispatcher_certificate(config));
    const std::string dispatcher_serial = dispatcher.serial();
    TRY(const FileLock registry_lock, registry.lock());
    const auto registered = find_registered(registry, request.hostname);
    if (registered && !options.replace) return would_replace(*registered);
    std::string authority_pem;
    TRY(const Certificate certificate, sign(config, request, now, authority_pem));
    TRY(const std::string id_of_dispatcher, dispatcher_id(config.state_dir));
    Approval approval;
    approval.agent = make_record(request, certificate, dispatcher_serial, options, now);
    approval.serial = certificate.serial();
    approval.replaced = registered.has_value();
    if (registered) approval.replaced_serial = registered->certificate_serial;

    const json::Value answer(json::Object{{"status", "approved"},
                                          {"cert", certificate.to_pem()},
                                          {"ca", authority_pem},
                                          {"nonce", request.nonce},
                                          {"dispatcher_serial", dispatcher_serial},
                                          {"dispatcher_id", id_of_dispatcher}});
    FileSet files;
    TRY_DO(registry.stage(files, approval.agent));
    TRY_DO(queue.stage_approval(files, request, answer));
    // Before the rest: cut short in between, the operator approves again.
    if (registered) TRY_DO(revoke_replaced(config, *registered, now));
    TRY_DO(files.commit());
    log_event(LogLevel::notice, "pair-approve",
              {{"HOST", request.hostname},
               {"PEER", request.ip},
               {"REQID", request.id},
               {"SERIAL", approval.serial}});
    return approval;
}

std::string denial_text(const PairingRequest& request) {
    return fmt::format("Denied: {} ({}).", request.hostname, printable(request.ip));
}

Result<PairingRequest> deny_pairing(const DispatcherConfig& config, std::string_view id, std::int64_t now) {
    const PairingQueue queue(config.pairing_dir());
    TRY(const FileLock lock, queue.lock());
    TRY(PairingRequest request, queue.find(id, now));
    TRY_DO(queue.deny(request, "rejected by operator"));
    log_event(LogLevel::notice, "pair-deny",
              {{"HOST", request.hostname}, {"PEER", request.ip}, {"REQID", request.id}});
    return request;
}

Result<PairingRequest> parse_pairing_body(std::string_view body, bool allow_cn_mismatch) {
    TRY(const json::Value value, json::parse(body, max_pairing_body));
    if (value.if_object() == nullptr) return fail(Errc::bad_request, "not a JSON object");
    PairingRequest request;
    request.hostname = value.text("hostname");
    request.csr = value.text("csr");
    request.nonce = value.text("nonce");
    if (!is_valid_hostname(request.hostname)) {
        return fail(Errc::bad_request,
                    fmt::format("'{}' is no valid hostname", printable(request.hostname.substr(0, 80))));
    }
    if (!is_valid_nonce(request.nonce)) return fail(Errc::bad_request, "the nonce is missing or no hex text");
    TRY(const CertificateRequest csr, CertificateRequest::from_pem(request.csr));
    if (!allow_cn_mismatch && csr.common_name() != request.hostname) {
        return fail(Errc::bad_request, fmt::format("the request is for '{}', but the agent calls itself '{}'",
                                                   csr.common_name(), request.hostname));
    }
    request.code = pairing_code(request.csr);
    std::int64_t port = 0;
    if (parse_integer(value.scalar("agent_port"), 1, 65535, port))
        request.agent_port = static_cast<int>(port);
    const std::string lookup = value.scalar("lookup_by");
    if (lookup == "ip" || lookup == "hostname") request.lookup_by = lookup;
    return request;
}

}  // namespace ctrlexec
