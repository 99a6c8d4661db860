// Tags of the agent from the environment: AGENT_TAGS=env=production,role=database, AGENT_ENV, AGENT_ROLE.
#pragma once

#include "core/config_file.h"
#include "core/result.h"

namespace ctrlexec {

// Adds them as entries of the section [tags], after what the file says there. AGENT_ENV and AGENT_ROLE are
// the tags env and role; AGENT_TAGS, where a tag is spelled out by name, counts more. Errc::config, naming
// the variable.
Result<void> add_environment_tags(ConfigFile& file);

}  // namespace ctrlexec
