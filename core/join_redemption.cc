#include "core/join_redemption.h"

#include <fmt/format.h>

#include "core/address_list.h"
#include "core/authority.h"
#include "core/csr.h"
#include "core/digest.h"
#include "core/fault_point.h"
#include "core/glob.h"
#include "core/join_tokens.h"
#include "core/log.h"
#include "core/pairing_grant.h"
#include "core/pairing_proof.h"
#include "core/revocation.h"
#include "core/serial_list.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_redemption_bytes = 64 * 1024;

Error refused(const char* reason) {
    return fail(Errc::denied, reason);
}

// What the agent hears when a file of ours is at fault.
Error failed(const Error& why) {
    return fail(why.code == Errc::denied ? Errc::io : why.code, "the dispatcher cannot check the join token",
                why.text());
}

struct Redemption {
    std::string hostname;
    std::string certificate;  // PEM
    std::string serial;
    std::string at;         // ISO 8601
    std::string withdrawn;  // likewise; "" when it is not

    json::Value to_json() const {
        json::Object object{
            {"hostname", hostname}, {"certificate", certificate}, {"serial", serial}, {"at", at}};
        if (!withdrawn.empty()) object.push_back({"withdrawn", withdrawn});
        return json::Value(std::move(object));
    }
};

std::string redemption_path(const DispatcherConfig& config, const std::string& kid,
                            const std::string& digest) {
    return fmt::format("{}/{}.json", JoinTokens(config).directory(kid), digest);
}

Result<std::optional<Redemption>> load_redemption(const std::string& path) {
    const auto text = read_file(path, max_redemption_bytes);
    if (!text && text.error().code == Errc::not_found) return std::optional<Redemption>();
    if (!text) return text.error();
    const auto value = json::parse(*text, max_redemption_bytes);
    Redemption redemption;
    if (value) {
        redemption.hostname = value->text("hostname");
        redemption.certificate = value->text("certificate");
        redemption.serial = value->text("serial");
        redemption.at = value->text("at");
        redemption.withdrawn = value->text("withdrawn");
    }
    if (redemption.hostname.empty() || redemption.certificate.empty() || redemption.serial.empty())
        return fail(Errc::io, path + ": damaged; remove it, and the agent can join anew");
    return std::optional<Redemption>(std::move(redemption));
}

// All that a decision is made of.
struct Case {
    JoinTokenRecord token;
    CertificateRequest csr;
    std::string csr_digest;  // hex
    std::optional<Redemption> earlier;
    std::optional<AgentRecord> registered;
};

// A dummy key for a token that does not exist: the mac is computed and compared all the same.
Result<JoinTokenRecord> authenticated_token(const DispatcherConfig& config, const PairingRequest& request,
                                            const PairingOffer& offer, std::string_view csr_digest) {
    auto token = JoinTokens(config).find(request.join->kid);
    if (!token && token.error().code != Errc::not_found) return failed(token.error());
    const std::string key = token ? token->key : std::string(32, '\0');
    const std::string expected =
        join_request_mac(key, request.nonce, csr_digest, offer.leaf_key_digest, request.hostname);
    const bool same = equal_constant_time(expected, request.join->mac);
    if (!same || !token) return refused("join token refused");
    return token;
}

// Of a request that was signed before.
Result<void> check_earlier(const DispatcherConfig& config, const Redemption& earlier,
                           const std::string& hostname) {
    if (earlier.hostname != hostname) return refused("join token is not for this host name");
    const auto revoked = SerialList::load(config.revoked_serials());
    if (!revoked) return failed(revoked.error());
    if (!earlier.withdrawn.empty() || revoked->contains(earlier.serial))
        return refused("this agent was unpaired, renamed, replaced or revoked; it needs a new key");
    return success();
}

Result<Case> judge(const DispatcherConfig& config, const PairingRequest& request, const PairingOffer& offer,
                   std::int64_t now) {
    TRY(CertificateRequest csr, CertificateRequest::from_pem(request.csr));
    const std::string digest = digest_of(csr.der());
    TRY(JoinTokenRecord token, authenticated_token(config, request, offer, digest));
    const JoinTerms& terms = token.terms;
    if (token.revoked != 0) return refused("join token revoked");
    if (!terms.hosts.empty() && !glob_matches(terms.hosts, request.hostname))
        return refused("join token is not for this host name");
    const auto from = AddressList::parse(terms.from);
    if (!from || (!from->empty() && !from->contains(request.ip)))
        return refused("join token is not for this address");
    const std::string hex = hex_of(digest);
    auto earlier = load_redemption(redemption_path(config, token.kid, hex));
    if (!earlier) return failed(earlier.error());
    if (*earlier) {
        TRY_DO(check_earlier(config, **earlier, request.hostname));
    } else if (token.has_expired(now)) {
        return refused("join token expired");
    } else {
        const auto used = JoinTokens(config).used(token.kid);
        if (!used) return failed(used.error());
        if (*used >= terms.uses) return refused("join token used up");
    }
    auto registered = find_registered(Registry(config.agents_dir()), request.hostname);
    const bool taken = registered && registered->key != key_fingerprint(csr.spki_der());
    if (taken && !terms.replace) return fail(Errc::exists, "the name is taken");
    return Case{std::move(token), std::move(csr), hex, std::move(*earlier), std::move(registered)};
}

Result<Redemption> sign(const DispatcherConfig& config, const Case& facts, const std::string& hostname,
                        std::int64_t now) {
    TRY(Authority authority, Authority::open(config.ca_dir, config.ca_passphrase_file));
    TRY(const Certificate certificate, authority.issue(facts.csr, hostname, config.cert_days, now));
    fault_point("join-signed");
    Redemption redemption{hostname, certificate.to_pem(), certificate.serial(), iso8601(now), {}};
    TRY_DO(write_file_atomic(redemption_path(config, facts.token.kid, facts.csr_digest),
                             json::dump(redemption.to_json()), 0600));
    fault_point("join-recorded");
    return redemption;
}

AgentRecord make_record(const PairingRequest& request, const PairingOffer& offer, const Case& facts,
                        const Redemption& redemption, const Certificate& certificate) {
    AgentRecord record = record_of(request, certificate, offer.dispatcher_serial, redemption.at);
    record.trust = "token";
    record.join = facts.token.kid;
    record.csr = facts.csr_digest;
    record.tags = facts.token.terms.tags;
    return record;
}

json::Value answer_of(const PairingRequest& request, const PairingOffer& offer, const Case& facts,
                      const Certificate& certificate) {
    const std::string mac =
        join_answer_mac(facts.token.key, request.nonce, digest_of(certificate.der()), offer.ca_key_digest,
                        offer.dispatcher_serial, offer.dispatcher_id);
    json::Object answer =
        approved_answer(request, certificate, offer.ca_pem, offer.dispatcher_serial, offer.dispatcher_id);
    answer.push_back({"join_mac", mac});
    return json::Value(std::move(answer));
}

void log_join(const PairingRequest& request, const Joined& joined) {
    log_event(LogLevel::notice, "join",
              {{"AGAIN", joined.again ? "1" : ""},
               {"HOST", request.hostname},
               {"KID", request.join->kid},
               {"PEER", request.ip},
               {"REQID", request.id},
               {"SERIAL", joined.serial}});
}

}  // namespace

Result<void> check_join(const DispatcherConfig& config, const PairingRequest& request,
                        const PairingOffer& offer, std::int64_t now) {
    TRY(const Case facts, judge(config, request, offer, now));
    return success();
}

Result<Joined> redeem_join(const DispatcherConfig& config, const PairingRequest& request,
                           const PairingOffer& offer, std::int64_t now) {
    const Registry registry(config.agents_dir());
    TRY(const FileLock held, registry.lock());
    TRY(Case facts, judge(config, request, offer, now));
    TRY(const std::string serial_status, check_offer(config, request, now));
    Joined joined;
    joined.again = facts.earlier.has_value();
    if (!joined.again) {
        TRY(facts.earlier, sign(config, facts, request.hostname, now));
    }
    TRY(const Certificate certificate, Certificate::from_pem(facts.earlier->certificate, "redemption"));
    joined.serial = certificate.serial();
    joined.answer = answer_of(request, offer, facts, certificate);
    // A record of this redemption may have been renewed since; any other is one whose place is taken.
    const bool is_its_own = facts.registered && (facts.registered->csr == facts.csr_digest ||
                                                 facts.registered->certificate_serial == joined.serial);
    if (joined.again && is_its_own) {
        joined.agent = *facts.registered;
    } else {
        joined.agent = make_record(request, offer, facts, *facts.earlier, certificate);
        joined.agent.serial_status = serial_status;
        joined.replaced = facts.registered.has_value();
        if (joined.replaced) TRY_DO(revoke_replaced(config, *facts.registered, now));
        TRY_DO(registry.save(joined.agent));
        fault_point("join-registered");
    }
    log_join(request, joined);
    return joined;
}

Result<void> withdraw_redemption(const DispatcherConfig& config, const AgentRecord& agent, std::int64_t now) {
    if (!is_valid_kid(agent.join) || agent.csr.size() != 64 || !from_hex(agent.csr)) return success();
    const std::string path = redemption_path(config, agent.join, agent.csr);
    TRY(auto redemption, load_redemption(path));
    if (!redemption || !redemption->withdrawn.empty()) return success();
    redemption->withdrawn = iso8601(now);
    return write_file_atomic(path, json::dump(redemption->to_json()), 0600);
}

std::optional<AgentRecord> find_registered(const Registry& registry, const std::string& hostname) {
    auto record = registry.find(hostname);
    if (record) return std::move(*record);
    if (record.error().code == Errc::not_found) return std::nullopt;
    AgentRecord unreadable;
    unreadable.hostname = hostname;
    return unreadable;
}

Result<void> revoke_replaced(const DispatcherConfig& config, const AgentRecord& agent, std::int64_t now) {
    TRY_DO(withdraw_redemption(config, agent, now));
    if (agent.certificate_serial.empty()) return success();
    TRY_DO(revoke_serial(config.revoked_serials(), agent.certificate_serial,
                         fmt::format("{}, replaced {}", agent.hostname, iso8601(now))));
    return success();
}

}  // namespace ctrlexec
