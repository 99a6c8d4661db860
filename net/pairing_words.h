// What the pairing port says to its log and to agents. Apart from its coroutines: g++ 12 miscompiles
// initializer lists there.
#pragma once

#include <string>
#include <string_view>

#include "core/pairing_queue.h"
#include "core/result.h"
#include "net/http_session.h"

namespace ctrlexec {

void log_request(const PairingRequest& request);
void log_end(const PairingRequest& request, const std::string& outcome);
void log_reject(const std::string& peer, const Error& why);
void log_mismatch(const PairingRequest& request, const Error& why);
void log_refusal(const std::string& peer, const PairingRequest& request, const Error& why);

HttpAnswer refusal(std::string_view reason);  // in place of the first answer
HttpAnswer denial(const PairingRequest& request, std::string_view reason);
// In place of the last answer: another try is worth while only where the fault is not the token's.
HttpAnswer late_refusal(const PairingRequest& request, const Error& why);

// What a refused agent hears. What went wrong with files of ours is for our log alone.
std::string reason_of(const Error& why, bool joins);

}  // namespace ctrlexec
