// What a dispatcher is told of a job.
#pragma once

#include "core/job_directory.h"
#include "core/job_record.h"
#include "core/json.h"

namespace ctrlexec {

// "done" or "lost".
const char* job_state(const JobResult& result);

// {"status":"ok","state":STATE,"reqid"}
json::Value job_state_report(const char* state, const JobKey& key);

// The members of an answer of /run to a caller of ours, with "started" and "ended". Reads the job's output.
json::Value job_result_report(const JobDirectory& job, const JobKey& key, const JobResult& result);

// The body of /result for a job that has ended, and for one under way.
json::Value job_end_report(const JobDirectory& job, const JobKey& key, const JobResult& result);
json::Value job_running_report(const JobDirectory& job, const JobKey& key);

}  // namespace ctrlexec
