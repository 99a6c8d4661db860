// What agents send to the pairing port, checked, and the first answer. docs/pairing-protocol.md
#pragma once

#include <string>
#include <string_view>

#include "core/json.h"
#include "core/pairing_offer.h"
#include "core/pairing_queue.h"
#include "core/result.h"

namespace ctrlexec {

// The common name of dispatchers' certificates, by which an agent with a pin knows one: no agent may have it.
inline constexpr std::string_view dispatcher_name = "ctrl-exec";

// Why a dispatcher refuses although nothing is wrong with the request: who waits asks again.
inline constexpr std::string_view queue_full = "pairing queue full";
inline constexpr std::string_view ca_does_not_fit = "the dispatcher's certificate does not fit its CA";
inline constexpr std::string_view dispatcher_failed =
    "something is wrong at the dispatcher; its log says what";

// Checks what an agent sent to the pairing port and makes a request of it (without id, ip and times).
// Errc::bad_request; the message is for our log, the agent hears "invalid request".
Result<PairingRequest> parse_pairing_body(std::string_view body, bool allow_cn_mismatch);

// `offer` and `nonce` (raw) are for version 2; null for version 1.
json::Value pending_answer(const PairingRequest& request, const PairingOffer* offer, std::string_view nonce);

// The check code, when the agent reveals what it had committed to. Errc::denied otherwise; the message is for
// our log.
Result<std::string> check_reveal(const PairingRequest& request, const PairingOffer& offer,
                                 std::string_view dispatcher_nonce, std::string_view body);

}  // namespace ctrlexec
