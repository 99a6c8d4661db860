#include "core/pairing_approval.h"

#include <fmt/format.h>

#include <optional>

#include "core/authority.h"
#include "core/csr.h"
#include "core/digest.h"
#include "core/dispatcher_id.h"
#include "core/dispatcher_identity.h"
#include "core/join_redemption.h"
#include "core/log.h"
#include "core/pairing_grant.h"
#include "core/timestamp.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

Result<void> check_sas(const PairingRequest& request, const std::string& sas) {
    if (sas.empty()) return success();
    if (request.version < 2) {
        return fail(Errc::denied,
                    fmt::format("{} has no check code: its agent speaks the first version of pairing only; "
                                "compare the code {} and approve it without --sas",
                                request.hostname, request.code));
    }
    if (equal_constant_time(sas, request.sas)) return success();
    log_event(LogLevel::warning, "pair-sas-mismatch",
              {{"HOST", request.hostname}, {"PEER", request.ip}, {"REQID", request.id}});
    return fail(
        Errc::denied,
        fmt::format("that is not the check code of {}: if the agent shows it, somebody stands between "
                    "it and this dispatcher; deny the request, unless it was a typing error",
                    request.hostname));
}

// What the agent is to trust. One of the first version is told now for the first time.
Result<std::string> offered_serial(const DispatcherConfig& config, const PairingRequest& request) {
    if (request.version >= 2) return request.dispatcher_serial;
    TRY(const Certificate dispatcher, load_dispatcher_certificate(config));
    return dispatcher.serial();
}

Error would_replace(const AgentRecord& agent) {
    return fail(
        Errc::exists,
        fmt::format("an agent '{}' is registered already (paired {}); if this one shall take its place, "
                    "approve it with --replace (in pairing-mode: r): the old certificate is then revoked",
                    agent.hostname, agent.paired.empty() ? "-" : printable(agent.paired)));
}

}  // namespace

std::string Approval::trust_text() const {
    if (is_checked())
        return "The check code matched. To confirm on the agent: ctrl-exec-agent pairing-confirm " + sas;
    if (sas.empty())
        return fmt::format(
            "NOT CHECKED: {0} speaks the first version of pairing, which has no check code: the "
            "agent cannot tell who has answered it, nor you whether that was {0}.",
            agent.hostname);
    return fmt::format(
        "NOT CHECKED: nobody compared the check code, so somebody else may have asked in the name "
        "of {0}. The agent must show {1}; if it does not: ctrl-exec-dispatcher unpair {0} "
        "--revoke",
        agent.hostname, sas);
}

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
    queue.await_reveal(id);
    TRY(const FileLock lock, queue.lock());
    TRY(const PairingRequest request, queue.find(id, now));
    TRY_DO(queue.require_listener());
    TRY_DO(check_sas(request, options.sas));
    TRY(const std::string serial, offered_serial(config, request));
    TRY(const FileLock registry_lock, registry.lock());
    const auto registered = find_registered(registry, request.hostname);
    TRY(const CertificateRequest csr, CertificateRequest::from_pem(request.csr));
    const bool same_agent = registered && registered->key == key_fingerprint(csr.spki_der());
    if (registered && !options.replace && !same_agent) return would_replace(*registered);
    TRY(Authority authority, Authority::open(config.ca_dir, config.ca_passphrase_file));
    TRY(const std::string serial_status, check_offer(config, request, now));
    TRY(const Certificate certificate, authority.issue(csr, request.hostname, config.cert_days, now));
    TRY(const std::string id_of_dispatcher, dispatcher_id(config.state_dir));
    Approval approval;
    approval.agent = record_of(request, certificate, serial, iso8601(now));
    approval.agent.serial_status = serial_status;
    if (options.agent_port != 0) approval.agent.agent_port = options.agent_port;
    if (!options.lookup_by.empty()) approval.agent.lookup_by = options.lookup_by;
    approval.serial = certificate.serial();
    approval.sas = request.sas;
    approval.agent.trust = request.version < 2 ? "legacy" : options.sas.empty() ? "unchecked" : "sas";
    approval.replaced = registered.has_value();
    if (registered) approval.replaced_serial = registered->certificate_serial;

    const json::Value answer(
        approved_answer(request, certificate, authority.certificate().to_pem(), serial, id_of_dispatcher));
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
               {"SERIAL", approval.serial},
               {"TRUST", approval.agent.trust}});
    return approval;
}

std::string denial_text(const PairingRequest& request) {
    return fmt::format("Denied: {} ({}).", request.hostname, printable(request.ip));
}

Result<PairingRequest> deny_pairing(const DispatcherConfig& config, std::string_view id, std::int64_t now) {
    const PairingQueue queue(config.pairing_dir());
    queue.await_reveal(id);
    TRY(const FileLock lock, queue.lock());
    TRY(PairingRequest request, queue.find(id, now));
    TRY_DO(queue.deny(request, "rejected by operator"));
    log_event(LogLevel::notice, "pair-deny",
              {{"HOST", request.hostname}, {"PEER", request.ip}, {"REQID", request.id}});
    return request;
}

}  // namespace ctrlexec
