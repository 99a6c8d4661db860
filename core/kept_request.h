// The key and certificate request that an agent asks with, kept from the first try until it is paired: a
// dispatcher that has answered, and whose answer was lost, can then give the same answer again.
#pragma once

#include <string>

#include "core/agent_config.h"
#include "core/key.h"
#include "core/result.h"

namespace ctrlexec {

struct KeptRequest {
    std::string key_pem, csr_pem;
    // Once a dispatcher has taken it, of the last one that did:
    std::string dispatcher;  // name and port
    std::string reqid;
    std::string sas;    // the check code, "" in version 1
    std::string asked;  // ISO 8601
};

std::string kept_request_path(const AgentConfig& config);  // beside the key

// Errc::not_found when there is none; Errc::config, with what is wrong, when it cannot be used: not ours
// alone, broken, the key not that of the request, for another host name or type of key than configured.
Result<KeptRequest> load_kept_request(const AgentConfig& config);

// For this key. Mode 0600, fsynced.
Result<KeptRequest> make_request(const PrivateKey& key, const std::string& hostname);
Result<void> keep_request(const AgentConfig& config, const KeptRequest& request);

}  // namespace ctrlexec
