// The files of a fleet, as real pairings leave them.
#pragma once

#include <string>

#include "core/result.h"
#include "test/fleet/plan.h"

namespace ctrlexec::fleet {

// Below `directory`: fleet.json (written last), template/ (an agent's directory with its configuration,
// allowlist and trust; scripts-failing.conf beside), and for each agent either identities/NAME.pem, key and
// certificate, or, when they are to be processes, a directory NAME that `ctrl-exec-agent --config
// NAME/agent.conf serve` can use. `config_path` is the dispatcher's; its CA must not be encrypted. Its
// registry gets a record of each agent. Nothing of it is made durable: that would cost more than all the
// rest.
Result<void> make_fleet(const std::string& config_path, const std::string& directory, const Plan& plan);

}  // namespace ctrlexec::fleet
