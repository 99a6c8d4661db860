// What the files of jobs say, as the agent asks it. All of it blocks on them.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/job_store.h"
#include "core/json.h"

namespace ctrlexec {

struct SurveyedJob {
    std::string script;               // "" when its record cannot be read
    std::optional<JobResult> result;  // nothing while it runs
    bool to_log = false;              // nobody has told of its outcome yet
};

// Errc::not_found when there is no such job.
Result<SurveyedJob> survey_job(const JobStore& store, const JobKey& key);

// All jobs; what is none is told in the log.
Result<std::vector<std::pair<JobKey, SurveyedJob>>> survey_jobs(const JobStore& store);

// The body of the answer to /result.
json::Value report_job(const JobStore& store, const JobKey& key, bool ended);

}  // namespace ctrlexec
