#include "core/pairing_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/config_file.h"
#include "core/csr.h"
#include "core/digest.h"
#include "core/hostname.h"
#include "core/join_token.h"
#include "core/pairing_proof.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

constexpr std::size_t max_pairing_body = 64 * 1024;
constexpr std::size_t digest_digits = 64;

bool is_hex(std::string_view text, std::string_view digits) {
    return text.find_first_not_of(digits) == std::string_view::npos;
}

bool is_valid_nonce(std::string_view nonce) {
    return !nonce.empty() && nonce.size() <= 128 && is_hex(nonce, "0123456789abcdefABCDEF");
}

bool is_digest(std::string_view text) {
    return text.size() == digest_digits && is_hex(text, "0123456789abcdef");
}

// 1 or 2; an agent of a later version speaks ours too. 0: it makes no sense.
int version_of(const json::Value& body) {
    const json::Value* value = body.find("pair_v");
    if (value == nullptr) return 1;
    if (value->if_unsigned() != nullptr) return 2;
    const std::int64_t* number = value->if_integer();
    return number == nullptr || *number < 1 ? 0 : *number == 1 ? 1 : 2;
}

Result<void> read_version_2(const json::Value& body, PairingRequest& request) {
    request.version = version_of(body);
    if (request.version == 0) return fail(Errc::bad_request, "pair_v is no version");
    const json::Value* join = body.find("join");
    if (request.version < 2) {
        if (join == nullptr) return success();
        return fail(Errc::bad_request, "a join token without pairing version 2");
    }
    request.commit = body.text("sas_commit");
    if (!is_digest(request.commit)) return fail(Errc::bad_request, "sas_commit is missing or no SHA-256");
    if (join == nullptr) return success();
    request.join = JoinProof{std::string(join->text("kid")), std::string(join->text("mac"))};
    if (is_valid_kid(request.join->kid) && is_digest(request.join->mac)) return success();
    return fail(Errc::bad_request, "join is malformed");
}

// Compared without case, as names of hosts are.
bool is_dispatcher_name(std::string_view hostname) {
    return std::equal(hostname.begin(), hostname.end(), dispatcher_name.begin(), dispatcher_name.end(),
                      [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

Result<void> check_names(const PairingRequest& request, bool allow_cn_mismatch) {
    const std::string& name = request.hostname;
    if (!is_valid_hostname(name))
        return fail(Errc::bad_request,
                    fmt::format("'{}' is no valid hostname", printable(name.substr(0, 80))));
    if (is_dispatcher_name(name))
        return fail(Errc::bad_request,
                    fmt::format("the name '{}' is that of dispatchers: no agent can have it", name));
    TRY(const CertificateRequest csr, CertificateRequest::from_pem(request.csr));
    if (!allow_cn_mismatch && csr.common_name() != name) {
        return fail(Errc::bad_request, fmt::format("the request is for '{}', but the agent calls itself '{}'",
                                                   csr.common_name(), name));
    }
    return success();
}

}  // namespace

Result<PairingRequest> parse_pairing_body(std::string_view body, bool allow_cn_mismatch) {
    TRY(const json::Value value, json::parse(body, max_pairing_body));
    if (value.if_object() == nullptr) return fail(Errc::bad_request, "not a JSON object");
    PairingRequest request;
    request.hostname = value.text("hostname");
    request.csr = value.text("csr");
    request.nonce = value.text("nonce");
    TRY_DO(check_names(request, allow_cn_mismatch));
    if (!is_valid_nonce(request.nonce)) return fail(Errc::bad_request, "the nonce is missing or no hex text");
    TRY_DO(read_version_2(value, request));
    request.code = pairing_code(request.csr);
    std::int64_t port = 0;
    if (parse_integer(value.scalar("agent_port"), 1, 65535, port))
        request.agent_port = static_cast<int>(port);
    const std::string lookup = value.scalar("lookup_by");
    if (lookup == "ip" || lookup == "hostname") request.lookup_by = lookup;
    return request;
}

json::Value pending_answer(const PairingRequest& request, const PairingOffer* offer, std::string_view nonce) {
    json::Object answer{{"status", "pending"}, {"reqid", request.id}};
    if (offer != nullptr) {
        answer.push_back({"pair_v", 2});
        answer.push_back({"ca", offer->ca_pem});
        answer.push_back({"dispatcher_id", offer->dispatcher_id});
        answer.push_back({"dispatcher_serial", offer->dispatcher_serial});
        answer.push_back({"sas_nonce", hex_of(nonce)});
    }
    return json::Value(std::move(answer));
}

Result<std::string> check_reveal(const PairingRequest& request, const PairingOffer& offer,
                                 std::string_view dispatcher_nonce, std::string_view body) {
    const auto value = json::parse(body, max_pairing_body);
    if (!value || value->if_object() == nullptr) return fail(Errc::denied, "the reveal is no JSON object");
    if (value->text("reqid") != request.id) return fail(Errc::denied, "the reveal is of another request");
    const std::string_view hex = value->text("sas_nonce");
    const auto nonce = is_digest(hex) ? from_hex(hex) : std::nullopt;
    if (!nonce) return fail(Errc::denied, "the reveal holds no nonce");
    TRY(const CertificateRequest csr, CertificateRequest::from_pem(request.csr));
    PairingTranscript transcript;
    transcript.csr_digest = digest_of(csr.der());
    if (sas_commitment(*nonce, transcript.csr_digest) != request.commit)
        return fail(Errc::denied, "the nonce is not the one that was committed to");
    transcript.ca_key_digest = offer.ca_key_digest;
    transcript.leaf_key_digest = offer.leaf_key_digest;
    transcript.hostname = request.hostname;
    transcript.dispatcher_id = offer.dispatcher_id;
    transcript.dispatcher_serial = offer.dispatcher_serial;
    transcript.reqid = request.id;
    return short_authentication_string(*nonce, dispatcher_nonce, transcript);
}

}  // namespace ctrlexec
