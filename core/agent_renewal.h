// Renewal of an agent's certificate for the key that it has.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/agent_config.h"
#include "core/identity.h"
#include "core/result.h"

namespace ctrlexec {

// PEM of a certificate request of the present key, for the name in the present certificate.
Result<std::string> renewal_request(const AgentConfig& config);

struct Renewal {
    Identity identity;         // as it is afterwards
    bool certificate = false;  // what of it is new
    bool authority = false;
};

// What a dispatcher sends is hostile until the contrary is shown: the certificate must be for the present key
// and name, signed by the CA's present key, valid at `now` (epoch seconds) and longer than the present one,
// so that none can be sent twice or in the wrong order; the very one that is there is no error. The CA may
// have been renewed with the same key; an older one than the present changes nothing.
Result<Renewal> check_renewal(Identity present, std::string_view certificate_pem, std::string_view ca_pem,
                              std::int64_t now);

// Checks it against the files, and stores what is new: first the CA, which goes with either certificate. A
// kill at any moment leaves a pair that works. Blocking.
Result<Renewal> complete_renewal(const AgentConfig& config, std::string_view certificate_pem,
                                 std::string_view ca_pem, std::int64_t now);

}  // namespace ctrlexec
