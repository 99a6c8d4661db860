// Detached jobs of the agent: they run under supervisors that outlive it, have exactly one outcome each, and
// never run twice.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/job_record.h"
#include "core/job_spec.h"
#include "core/job_store.h"
#include "core/json.h"
#include "core/result.h"
#include "net/job_follow.h"
#include "net/runtime.h"

namespace ctrlexec {

// What has passed the gates of /runs: allowlist, auth hook, capacity.
struct JobRequest {
    std::string username;
    std::string peer_ip;
    JobSpec spec;
};

struct AgentJob;
struct SurveyedJob;
class AgentJobs;

// The place of a job whose submission is under way: it counts as running, and its second submission waits for
// what becomes of it. Without a submit() it is given up at the end.
class JobPlace {
  public:
    JobPlace(AgentJobs& jobs, std::shared_ptr<AgentJob> job) : jobs_(&jobs), job_(std::move(job)) {}
    JobPlace(JobPlace&&) noexcept = default;
    JobPlace& operator=(JobPlace&&) = delete;
    ~JobPlace();
    const std::shared_ptr<AgentJob>& job() const { return job_; }

  private:
    AgentJobs* jobs_;
    std::shared_ptr<AgentJob> job_;
};

// All of it runs on the loop; what may block is offloaded. Only the dispatcher that submitted a job knows it:
// for another one it is "unknown".
class AgentJobs {
  public:
    AgentJobs(Runtime& runtime, std::string directory);
    ~AgentJobs();

    // Once, before requests are served: finds the jobs of earlier agents, declares lost what nobody will end.
    asio::awaitable<void> adopt();

    // Those under way, of earlier agents too.
    std::size_t running() const;
    std::size_t running_of(const std::string& script) const;

    // The body of the answer to the second submission of a job; nothing when it is not there. Then reserve()
    // must follow at once.
    asio::awaitable<std::optional<json::Value>> submitted(JobKey key);

    // Errc::bad_request when the key is none, busy when too many jobs are stored.
    Result<JobPlace> reserve(const JobKey& key, const std::string& script);

    // The body of the answer, once the job is on disk and its supervisor has all it needs. With an error
    // nothing was run.
    asio::awaitable<Result<json::Value>> submit(JobPlace place, JobRequest request);

    // Answers when the job has ended, or after `wait`.
    asio::awaitable<json::Value> result(JobKey key, std::chrono::seconds wait);

    // What looks on; null when there is no such job.
    std::shared_ptr<JobFollow> follow(const JobKey& key, JobOffsets offsets);

    // From now on result() answers at once, those that wait already included: the agent is about to end, and
    // the jobs go on without it.
    void stop_waiting();

    // The state to tell: "cancelling", that of a job that has ended, or "unknown".
    asio::awaitable<std::string> cancel(JobKey key);

  private:
    friend class JobPlace;
    using JobPtr = std::shared_ptr<AgentJob>;

    JobPtr find(const JobKey& key) const;
    asio::awaitable<Result<void>> start(JobPtr job, JobRequest request);
    asio::awaitable<Result<void>> take_over(JobPtr job);
    asio::awaitable<void> watch(JobPtr job);
    asio::awaitable<void> find_process(JobPtr job);
    void give_up(AgentJob& job);
    void settle(AgentJob& job, const SurveyedJob& surveyed);
    asio::awaitable<void> wait_change(JobPtr job, std::chrono::milliseconds time);
    asio::awaitable<void> pause(std::chrono::milliseconds time);
    asio::awaitable<void> purge();
    asio::awaitable<void> purge_hourly();

    Runtime& runtime_;
    JobStore store_;
    std::map<JobKey, JobPtr> jobs_;
    bool stopping_ = false;
};

}  // namespace ctrlexec
