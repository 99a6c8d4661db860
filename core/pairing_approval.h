// The operator's yes: sign the waiting request, register the agent, leave the answer for the listener.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/dispatcher_config.h"
#include "core/pairing_queue.h"
#include "core/registry.h"
#include "core/result.h"

namespace ctrlexec {

// What the operator says beside yes.
struct ApprovalOptions {
    bool replace = false;   // an agent of that name may be registered already
    int agent_port = 0;     // in place of what the agent said; 0: as it said
    std::string lookup_by;  // likewise: "ip", "hostname", "" as it said
    std::string sas;        // the check code that the agent shows, "4831-1920"; "" for not compared
};

struct Approval {
    AgentRecord agent;
    std::string serial;           // of the new certificate
    std::string sas;              // the agent's check code, "" in version 1
    bool replaced = false;        // an agent of that name was registered before
    std::string replaced_serial;  // of its certificate, which is revoked now; "" when it was not recorded

    std::string text() const;  // for the operator
    bool is_checked() const { return agent.trust == "sas"; }
    // Whether somebody compared the check code, and what to do now.
    std::string trust_text() const;
};

// Serialised by the queue's lock. Either everything is in place or the request still waits: the answer is
// left last. Errc::exists when it would replace a registered agent and must not; one with the same key is the
// same agent, which asks again. Errc::denied for a wrong check code, which is never told. Logs pair-approve,
// pair-sas-mismatch.
Result<Approval> approve_pairing(const DispatcherConfig& config, std::string_view id, std::int64_t now,
                                 const ApprovalOptions& options = {});

std::string denial_text(const PairingRequest& request);  // for the operator

// Logs pair-deny.
Result<PairingRequest> deny_pairing(const DispatcherConfig& config, std::string_view id, std::int64_t now);

}  // namespace ctrlexec
