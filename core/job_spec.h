// What the agent hands to the supervisor of a job, through a pipe and never by a file: it holds what the
// script finds on its stdin, and so the caller's token.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/spawn.h"

namespace ctrlexec {

struct JobSpec {
    explicit JobSpec(SpawnPlan start) : plan(std::move(start)) {}

    SpawnPlan plan;
    std::string input;
    std::chrono::milliseconds input_timeout{10'000};
    std::chrono::milliseconds run_timeout{0};  // 0: none
    std::chrono::milliseconds kill_grace{5'000};
    std::size_t output_limit = 1u << 20;

    // One of the gates that make an ApprovedProgram: only for what comes out of our parent's pipe, which has
    // passed its allowlist. Errc::bad_request for anything else, such as the beginning of a spec whose sender
    // has died: no prefix of a JSON object is one.
    static Result<JobSpec> parse(std::string_view text);
    std::string to_json() const;
};

inline constexpr std::size_t max_job_spec = 32u << 20;  // a request of 1 MiB, escaped twice, fits

}  // namespace ctrlexec
