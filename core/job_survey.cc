#include "core/job_survey.h"

#include <algorithm>

#include "core/job_report.h"
#include "core/log.h"
#include "core/timestamp.h"

namespace ctrlexec {
namespace {

constexpr std::int64_t leftover_age = 60;  // seconds; a younger one may be at work
constexpr std::size_t max_told = 5;

void tell(const std::string& what) {
    log_event(LogLevel::warning, "job-fail", {{"REASON", what}});
}

}  // namespace

Result<SurveyedJob> survey_job(const JobStore& store, const JobKey& key) {
    const JobDirectory job = store.at(key);
    SurveyedJob surveyed;
    TRY(surveyed.result, store.outcome(key, now_seconds()));
    const auto record = job.record();
    if (record) {
        surveyed.script = record->script;
    } else {
        tell(record.error().message);
    }
    surveyed.to_log = surveyed.result && job.claim_logging();
    return surveyed;
}

Result<std::vector<std::pair<JobKey, SurveyedJob>>> survey_jobs(const JobStore& store) {
    store.remove_leftovers(leftover_age);
    TRY(auto listing, store.list());
    for (std::size_t i = 0; i < std::min(max_told, listing.strange.size()); ++i)
        tell(listing.strange[i] + ": not a job; remove it");
    std::vector<std::pair<JobKey, SurveyedJob>> found;
    for (auto& key : listing.jobs) {
        auto surveyed = survey_job(store, key);
        if (surveyed) found.emplace_back(std::move(key), std::move(*surveyed));
    }
    return found;
}

json::Value report_job(const JobStore& store, const JobKey& key, bool ended) {
    const JobDirectory job = store.at(key);
    if (!ended) return job_running_report(job, key);
    const auto result = store.outcome(key, now_seconds());
    if (!result) return job_state_report("unknown", key);
    return *result ? job_end_report(job, key, **result) : job_running_report(job, key);
}

}  // namespace ctrlexec
