// Detached jobs of an agent: one directory each, core/job_directory. A job that is accepted is there whole,
// or not at all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/job_directory.h"
#include "core/job_record.h"
#include "core/result.h"

namespace ctrlexec {

inline constexpr std::size_t max_stored_jobs = 10'000;
inline constexpr std::int64_t job_lifetime = 24 * 60 * 60;  // seconds from its end; then it is purged

class JobStore {
  public:
    explicit JobStore(std::string directory) : directory_(std::move(directory)) {}

    JobDirectory at(const JobKey& key) const { return JobDirectory(directory_ + "/" + key.name()); }

    // Durable. Errc::exists when the job is already there: it is the second submission of it.
    Result<void> create(const JobRecord& record) const;

    // A directory that does not exist holds none; what is no job is skipped, and told in `strange`.
    struct Listing {
        std::vector<JobKey> jobs;
        std::vector<std::string> strange;  // paths
    };
    Result<Listing> list() const;

    // The job's outcome; nothing while its supervisor lives. A job that nobody will end any more becomes
    // lost here, and what its script left running is killed. Errc::not_found when there is no such job.
    Result<std::optional<JobResult>> outcome(const JobKey& key, std::int64_t now) const;

    // Under another name first: there is never half a job.
    Result<void> remove(const JobKey& key) const;

    // What a create() or remove() that was killed left, when it is at least `min_age` seconds old.
    void remove_leftovers(std::int64_t min_age) const;

  private:
    std::string directory_;
};

}  // namespace ctrlexec
