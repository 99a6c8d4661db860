// What agents said of themselves when they were last asked, kept for commands that select by tag:
// STATE/tags.json.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/auth_policy.h"
#include "core/dispatcher_config.h"
#include "core/result.h"

namespace ctrlexec {

using TagsOfHosts = std::map<std::string, Tags>;

class TagStore {
  public:
    explicit TagStore(const DispatcherConfig& config);

    // Empty when there is no file yet. Errc::io, with the remedy, for one that is not ours.
    Result<TagsOfHosts> load() const;

    // Takes over what was said at `now` (seconds); who is not registered (any more) is left out. Several
    // processes may do so at the same time. A file that cannot be read is made anew.
    Result<void> update(const TagsOfHosts& fresh, std::int64_t now) const;

  private:
    std::string path_;
    std::string agents_dir_;
};

}  // namespace ctrlexec
