// What all conversations on a pairing port share.
#pragma once

#include <asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/dispatcher_config.h"
#include "core/pairing_offer.h"
#include "core/pairing_queue.h"
#include "core/rate_limiter.h"
#include "net/answer_gate.h"
#include "net/broken_attempts.h"
#include "net/runtime.h"
#include "net/tls_context.h"

namespace ctrlexec {

// For a front end, and for who counts. Each may be empty.
struct PairingEvents {
    std::function<void(const PairingRequest&)> requested;
    std::function<void(const PairingRequest&, const std::string& outcome)>
        ended;  // "approved", "denied", "gone", …
    // How a conversation ended: approved, denied, gone, refused, mismatch, joined; and what it could rest on:
    // token, sas, legacy; none when it was no request.
    std::function<void(std::string_view result, std::string_view trust)> counted;
};

// The dispatcher's certificate as one connection shows it from its beginning to its end.
struct PairingFace {
    std::shared_ptr<TlsContext> tls;
    Result<PairingOffer> offer;  // an error: no agent of version 2 would believe us
};

// One request that waits for the operator.
struct HeldRequest {
    explicit HeldRequest(Runtime& runtime) : wake(runtime.io()) {}
    asio::steady_timer wake;
    bool gone = false;      // the agent has hung up
    bool answered = false;  // with the operator's word: then hanging up is all that is left to it
};

struct PairingPort : std::enable_shared_from_this<PairingPort> {
    PairingPort(Runtime& runtime, const DispatcherConfig& config, PairingEvents events);

    // Makes `face` anew from the files.
    Result<void> load_face();
    bool is_blocked(const std::string& peer) const;
    void count_probe(const std::string& peer);
    void count(std::string_view result, const PairingRequest& request) const;
    void wake_all() const;
    // A place in the queue is taken until the last copy is gone.
    std::shared_ptr<void> take_place();

    Runtime& runtime;
    std::shared_ptr<const DispatcherConfig> config;
    PairingQueue queue;
    PairingEvents events;
    std::shared_ptr<const PairingFace> face;
    RateLimiter probes;
    BrokenAttempts broken;
    std::size_t places_taken = 0;
    // Joins are signed one after the other, and a thousand that come at once must not fill the worker
    // threads: they take turns here, to be checked and to be signed. A time-out then measures the work of
    // one.
    std::shared_ptr<AnswerGate> joins;
    std::map<std::string, std::shared_ptr<HeldRequest>> waiting;  // by request id
};

}  // namespace ctrlexec
