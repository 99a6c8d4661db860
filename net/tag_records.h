// The tags that a discovery has brought to light, on their way into core/tag_store.
#pragma once

#include <asio/awaitable.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/dispatcher_config.h"
#include "core/host_result.h"
#include "core/tag_store.h"
#include "core/target.h"
#include "net/runtime.h"

namespace ctrlexec {

class DiscoveredTags {
  public:
    explicit DiscoveredTags(const std::vector<Target>& targets);

    // Of an agent that answered; not of a host that was asked for at a port of the caller's choice: another
    // one may answer there. False when nothing was taken.
    bool add(const DiscoveryResult& result);
    TagsOfHosts found;

  private:
    std::set<std::string> at_own_port_;
};

// Writes them down; a failure is logged, too.
asio::awaitable<Result<void>> keep_tags(Runtime& runtime, const DispatcherConfig& config,
                                        DiscoveredTags tags);

}  // namespace ctrlexec
