// The agent as a request sees it that changes something of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/result.h"
#include "net/run_table.h"
#include "net/running_children.h"
#include "net/runtime.h"

namespace ctrlexec {

class AgentJobs;

enum class AgentPart : std::uint8_t { identity, dispatchers, revoked };

class AgentHost {
  public:
    virtual ~AgentHost() = default;
    virtual Runtime& runtime() = 0;
    virtual RunningChildren& children() = 0;
    virtual RunTable& runs() = 0;
    virtual AgentJobs& jobs() = 0;
    // Scripts that run now, whoever waits for them or not; those of one name.
    virtual std::size_t running() const = 0;
    virtual std::size_t running(const std::string& script) const = 0;
    // Reads the files of that part again, for the next request or handshake; with an error the old state
    // stays.
    virtual Result<void> reread(AgentPart part) = 0;
};

}  // namespace ctrlexec
