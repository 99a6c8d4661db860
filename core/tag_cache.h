// What agents said of themselves lately, for decisions that depend on it: host -> tags.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>

#include "core/auth_policy.h"
#include "core/json.h"

namespace ctrlexec {

// The member "tags" of an agent's answer. An agent may send anything: what is more than a few tags, or long,
// is left out.
Tags tags_of(const json::Value& answer);
// What the agent says, where nothing was assigned to it under that key.
Tags with_assigned(Tags said, const Tags& assigned);
json::Value tags_json(const Tags& tags);  // what that member was

class TagCache {
  public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::size_t max_hosts = 10'000;
    static constexpr std::chrono::minutes kept{5};

    void put(const std::string& host, Tags tags, Time now);
    // Null when they are not known, or not any more. Valid until the next put().
    const Tags* find(const std::string& host, Time now) const;
    void clear() { hosts_.clear(); }
    std::size_t size() const { return hosts_.size(); }

  private:
    struct Entry {
        Tags tags;
        Time until{};
    };
    void make_room(Time now);
    std::map<std::string, Entry> hosts_;
};

}  // namespace ctrlexec
