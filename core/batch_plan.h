// How a run goes through many hosts bit by bit: how many at a time, and when it has gone wrong often enough.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "core/host_result.h"
#include "core/result.h"
#include "core/run_request.h"

namespace ctrlexec {

// As it was typed; "" is what was not.
struct BatchWords {
    std::string size;          // "N" hosts or "P%" of them
    std::string max_failures;  // the same; 0 and 0% are some
    std::string canary;        // "N"
    std::chrono::milliseconds pause{0};
};

class BatchPlan {
  public:
    // All at once, whatever becomes of them.
    BatchPlan() = default;
    // Errc::usage. Of `hosts`; percentages of hosts are rounded up, of failures down.
    static Result<BatchPlan> parse(const BatchWords& words, std::size_t hosts);

    // How many of the `left` hosts begin next, when `begun` have; at least one while one is left.
    std::size_t next(std::size_t begun, std::size_t left) const;

    // Why no more hosts may begin when `failed` of them have not gone well and `begun` were of a batch; ""
    // when they may. The canary's batch is the first.
    std::string objection(std::size_t begun, std::size_t failed) const;

    // Between two batches.
    std::chrono::milliseconds pause() const { return pause_; }

  private:
    std::size_t size_ = 0;  // 0: all
    std::size_t canary_ = 0;
    std::size_t max_failures_ = 0;
    std::chrono::milliseconds pause_{0};
};

// Of a host that was left alone.
RunResult not_started(std::string host, const RunRequest& request, std::string why);

}  // namespace ctrlexec
