// Results of a run that say the same, folded together: a thousand hosts that answer alike are read once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/host_result.h"

namespace ctrlexec {

struct ResultGroup {
    static constexpr std::size_t max_hosts = 20;

    RunResult result;  // of the first; its error names no host when there are several
    std::size_t count = 0;
    std::vector<std::string> hosts;  // sorted; the first max_hosts by name
};

class ResultGroups {
  public:
    static constexpr std::size_t default_bytes = 64u << 20;

    // One copy of each distinct output is kept, up to so many bytes in all.
    explicit ResultGroups(std::size_t max_bytes = default_bytes) : left_(max_bytes) {}

    // Results are the same when outcome, exit, signal, both streams and the error are; in errors the host's
    // own name and addresses do not count. Given back when it is like none before it and there is no room for
    // it.
    std::optional<RunResult> add(RunResult result);

    // The biggest first, equal ones by the name of their first host. Nothing is left here.
    std::vector<ResultGroup> take();

  private:
    using Key = std::array<std::uint8_t, 32>;  // SHA-256: hosts may choose what they print
    std::map<Key, ResultGroup> groups_;
    std::size_t left_;
};

// The error without the host's name and without addresses, each of which becomes "HOST", port and all.
std::string without_hosts(std::string_view error, std::string_view host);

}  // namespace ctrlexec
