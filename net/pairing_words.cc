#include "net/pairing_words.h"

#include "core/log.h"
#include "core/pairing_messages.h"

namespace ctrlexec {

void log_request(const PairingRequest& request) {
    log_event(LogLevel::notice, "pair-request",
              {{"CODE", request.code},
               {"HOST", request.hostname},
               {"PAIR_V", request.version < 2 ? "" : "2"},
               {"PEER", request.ip},
               {"REQID", request.id}});
}

void log_end(const PairingRequest& request, const std::string& outcome) {
    log_event(LogLevel::notice, "pair-end",
              {{"HOST", request.hostname}, {"OUTCOME", outcome}, {"REQID", request.id}});
}

void log_reject(const std::string& peer, const Error& why) {
    log_event(LogLevel::notice, "pair-reject", {{"PEER", peer}, {"REASON", why.text()}});
}

void log_mismatch(const PairingRequest& request, const Error& why) {
    log_event(
        LogLevel::warning, "pair-commit-mismatch",
        {{"HOST", request.hostname}, {"PEER", request.ip}, {"REASON", why.text()}, {"REQID", request.id}});
}

void log_refusal(const std::string& peer, const PairingRequest& request, const Error& why) {
    if (!request.join) return log_reject(peer, why);
    log_event(
        LogLevel::notice, "join-refuse",
        {{"HOST", request.hostname}, {"KID", request.join->kid}, {"PEER", peer}, {"REASON", why.text()}});
}

HttpAnswer refusal(std::string_view reason) {
    return json_answer(200, json::Object{{"status", "error"}, {"reason", reason}});
}

HttpAnswer denial(const PairingRequest& request, std::string_view reason) {
    return json_answer(200, denied_answer(request, reason));
}

HttpAnswer late_refusal(const PairingRequest& request, const Error& why) {
    if (why.code == Errc::denied || why.code == Errc::exists) return denial(request, why.message);
    return json_answer(200,
                       json::Object{{"status", "error"}, {"reason", reason_of(why, true)}, {"pair_v", 2}});
}

std::string reason_of(const Error& why, bool joins) {
    constexpr const char* invalid = "invalid request";
    switch (why.code) {
        case Errc::denied:
        case Errc::busy:
            return why.message;
        case Errc::exists:
            return joins ? why.message : std::string(dispatcher_failed);
        case Errc::timed_out:  // the agent while it asks, we while we look at a token
            return joins ? std::string(dispatcher_failed) : invalid;
        case Errc::bad_request:
        case Errc::too_large:
        case Errc::too_many_headers:
        case Errc::not_implemented:
        case Errc::bad_version:
        case Errc::closed:
            return invalid;
        default:
            return std::string(dispatcher_failed);
    }
}

}  // namespace ctrlexec
