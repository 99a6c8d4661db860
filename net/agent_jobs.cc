#include "net/agent_jobs.h"

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

#include "core/fault_point.h"
#include "core/job_report.h"
#include "core/job_survey.h"
#include "core/log.h"
#include "core/timestamp.h"
#include "net/agent_job.h"
#include "net/offload.h"

namespace ctrlexec {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::minutes adopt_time{10};  // thousands of jobs on a slow disk
constexpr milliseconds look_interval{250};      // for a supervisor that cannot be watched
constexpr std::chrono::hours purge_interval{1};
constexpr const char* unknown = "unknown";

void log_start(const AgentJob& job, const JobRequest& request) {
    log_event(LogLevel::info, "job-start",
              {{"DISPATCHER", job.key.dispatcher},
               {"PEER", request.peer_ip},
               {"REQID", job.key.reqid},
               {"SCRIPT", job.script}});
}

void log_end(const AgentJob& job, const JobResult& result) {
    const char* action = result.lost ? "job-lost" : "job-end";
    log_event(result.lost ? LogLevel::warning : LogLevel::info, action,
              {{"DISPATCHER", job.key.dispatcher},
               {"EXIT", result.lost ? std::string() : std::to_string(result.exit)},
               {"REASON", result.error},
               {"REQID", job.key.reqid},
               {"SCRIPT", job.script}});
    if (result.warning.empty()) return;
    log_event(LogLevel::warning, "job-fail",
              {{"DISPATCHER", job.key.dispatcher},
               {"REASON", result.warning},
               {"REQID", job.key.reqid},
               {"SCRIPT", job.script}});
}

void log_problem(const std::string& text) {
    log_event(LogLevel::error, "job-fail", {{"REASON", text}});
}

json::Value accepted(const AgentJob& job) {
    return json::Object{
        {"status", "accepted"}, {"state", job.word()}, {"script", job.script}, {"reqid", job.key.reqid}};
}

json::Value problem(const Error& why, const JobKey& key) {
    return json::Object{{"status", "error"}, {"error", why.message}, {"reqid", key.reqid}};
}

JobRecord record_of(const AgentJob& job, const JobRequest& request, std::int64_t now) {
    JobRecord record;
    record.key = job.key;
    record.script = job.script;
    record.username = request.username;
    record.peer_ip = request.peer_ip;
    record.accepted = now;
    record.timeout = request.spec.run_timeout;
    record.kill_grace = request.spec.kill_grace;
    record.output_limit = request.spec.output_limit;
    return record;
}

using Surveys = std::vector<std::pair<JobKey, SurveyedJob>>;

// The supervisor starts in "/".
std::string absolute(std::string path) {
    if (!path.empty() && path.front() == '/') return path;
    return resolve_path(".").value_or("") + "/" + path;
}

}  // namespace

AgentJobs::AgentJobs(Runtime& runtime, std::string directory)
    : runtime_(runtime), store_(absolute(std::move(directory))) {}

AgentJobs::~AgentJobs() = default;

AgentJobs::JobPtr AgentJobs::find(const JobKey& key) const {
    const auto found = jobs_.find(key);
    return found == jobs_.end() ? nullptr : found->second;
}

std::size_t AgentJobs::running() const {
    return static_cast<std::size_t>(std::count_if(
        jobs_.begin(), jobs_.end(), [](const auto& job) { return job.second->is_under_way(); }));
}

std::size_t AgentJobs::running_of(const std::string& script) const {
    return static_cast<std::size_t>(std::count_if(jobs_.begin(), jobs_.end(), [&](const auto& job) {
        return job.second->is_under_way() && job.second->script == script;
    }));
}

asio::awaitable<void> AgentJobs::adopt() {
    std::function<Result<Surveys>()> work = [store = store_] { return survey_jobs(store); };
    auto found = co_await offload<Surveys>(runtime_.pool(), adopt_time, std::move(work));
    if (!found) {
        log_problem(found.error().text());
    } else {
        for (auto& [key, surveyed] : *found) {
            const auto job = std::make_shared<AgentJob>(runtime_.io().get_executor(), key);
            job->script = surveyed.script;
            jobs_[key] = job;
            job->change(AgentJob::State::running);
            if (surveyed.result) {
                settle(*job, surveyed);
            } else {
                runtime_.spawn(watch(job));
            }
        }
    }
    co_await purge();
    runtime_.spawn(purge_hourly());
}

JobPlace::~JobPlace() {
    if (job_ != nullptr && job_->state == AgentJob::State::accepting) jobs_->give_up(*job_);
}

void AgentJobs::give_up(AgentJob& job) {
    jobs_.erase(job.key);
    job.change(AgentJob::State::refused);
}

asio::awaitable<std::optional<json::Value>> AgentJobs::submitted(JobKey key) {
    if (jobs_.size() >= max_stored_jobs && find(key) == nullptr) co_await purge();
    // Of several that wait here for a submission which then is refused, one takes its place.
    while (const JobPtr job = find(key)) {
        while (job->state == AgentJob::State::accepting) co_await wait_change(job, file_timeout);
        if (job->state != AgentJob::State::refused) co_return accepted(*job);
    }
    co_return std::nullopt;
}

Result<JobPlace> AgentJobs::reserve(const JobKey& key, const std::string& script) {
    if (!key.is_valid())
        return fail(Errc::bad_request, "an asynchronous run needs a request id of 16 hex digits");
    if (jobs_.size() >= max_stored_jobs)
        return fail(Errc::busy, "busy: too many jobs are stored; they are kept for a day after their end");
    auto job = std::make_shared<AgentJob>(runtime_.io().get_executor(), key);
    job->script = script;
    jobs_[key] = job;
    return JobPlace(*this, std::move(job));
}

asio::awaitable<Result<json::Value>> AgentJobs::submit(JobPlace place, JobRequest request) {
    const JobPtr job = place.job();
    CO_TRY_DO(co_await start(job, std::move(request)));
    co_return accepted(*job);
}

asio::awaitable<Result<void>> AgentJobs::start(JobPtr job, JobRequest request) {
    const JobRecord record = record_of(*job, request, now_seconds());
    std::function<Result<bool>()> create = [store = store_, record]() -> Result<bool> {
        auto created = store.create(record);
        if (!created && created.error().code == Errc::exists) return false;
        if (!created) return std::move(created).error();
        return true;
    };
    CO_TRY(const bool created, co_await offload<bool>(runtime_.pool(), file_timeout, std::move(create)));
    if (!created) co_return co_await take_over(job);
    if (auto spawned = job->process.start(store_.at(job->key).path()); !spawned) {
        std::function<Result<bool>()> remove = [store = store_, key = job->key]() -> Result<bool> {
            TRY_DO(store.remove(key));
            return true;
        };
        (void)co_await offload<bool>(runtime_.pool(), file_timeout, std::move(remove));
        co_return std::move(spawned);
    }
    fault_point("job-spawned");
    log_start(*job, request);
    std::string spec = request.spec.to_json();
    co_await job->process.hand_over(std::move(spec));
    job->change(AgentJob::State::running);
    runtime_.spawn(watch(job));
    co_return success();
}

// It is on disk, and we did not know it: its first submission was given up on when the disk did not answer.
asio::awaitable<Result<void>> AgentJobs::take_over(JobPtr job) {
    std::function<Result<SurveyedJob>()> work = [store = store_, key = job->key] {
        return survey_job(store, key);
    };
    CO_TRY(const SurveyedJob surveyed,
           co_await offload<SurveyedJob>(runtime_.pool(), file_timeout, std::move(work)));
    job->script = surveyed.script;
    job->change(AgentJob::State::running);
    if (surveyed.result) {
        settle(*job, surveyed);
    } else {
        runtime_.spawn(watch(job));
    }
    co_return success();
}

asio::awaitable<void> AgentJobs::watch(JobPtr job) {
    for (;;) {
        if (!job->process.is_known()) co_await find_process(job);
        if (job->process.is_known()) {
            co_await job->process.exited();
        } else {
            co_await pause(look_interval);
        }
        std::function<Result<SurveyedJob>()> work = [store = store_, key = job->key] {
            return survey_job(store, key);
        };
        const auto surveyed = co_await offload<SurveyedJob>(runtime_.pool(), file_timeout, std::move(work));
        if (surveyed && surveyed->result) {
            settle(*job, *surveyed);
            co_return;
        }
        if (!surveyed && surveyed.error().code == Errc::not_found) {  // somebody has removed it
            jobs_.erase(job->key);
            job->change(AgentJob::State::ended);
            co_return;
        }
    }
}

asio::awaitable<void> AgentJobs::find_process(JobPtr job) {
    std::function<Result<UniqueFd>()> work = [directory = store_.at(job->key)] {
        return JobProcess::find(directory);
    };
    auto found = co_await offload<UniqueFd>(runtime_.pool(), file_timeout, std::move(work));
    if (found && job->process.adopt(std::move(*found)) && job->cancel_wanted) job->process.cancel();
}

void AgentJobs::settle(AgentJob& job, const SurveyedJob& surveyed) {
    const JobResult& result = *surveyed.result;
    job.lost = result.lost;
    job.ended = result.ended;
    if (surveyed.to_log) log_end(job, result);
    job.change(AgentJob::State::ended);
}

asio::awaitable<json::Value> AgentJobs::result(JobKey key, std::chrono::seconds wait) {
    const JobPtr job = find(key);
    if (job == nullptr) co_return job_state_report(unknown, key);
    const auto end = std::chrono::steady_clock::now() + wait;
    while (job->is_under_way() && !stopping_) {
        const auto left = end - std::chrono::steady_clock::now();
        if (left <= std::chrono::steady_clock::duration::zero()) break;
        co_await wait_change(job, std::chrono::ceil<milliseconds>(left));
    }
    if (find(key) == nullptr) co_return job_state_report(unknown, key);
    const bool ended = job->state == AgentJob::State::ended;
    std::function<Result<json::Value>()> work = [store = store_, key, ended]() -> Result<json::Value> {
        return report_job(store, key, ended);
    };
    auto body = co_await offload<json::Value>(runtime_.pool(), file_timeout, std::move(work));
    co_return body ? std::move(*body) : problem(body.error(), key);
}

void AgentJobs::stop_waiting() {
    stopping_ = true;
    for (const auto& [key, job] : jobs_) job->change(job->state);
}

std::shared_ptr<JobFollow> AgentJobs::follow(const JobKey& key, JobOffsets offsets) {
    const JobPtr job = find(key);
    return job == nullptr ? nullptr : std::make_shared<JobFollow>(runtime_, store_, job, offsets);
}

asio::awaitable<std::string> AgentJobs::cancel(JobKey key) {
    const JobPtr job = find(key);
    if (job == nullptr) co_return std::string(unknown);
    while (job->state == AgentJob::State::accepting) co_await wait_change(job, file_timeout);
    if (job->state == AgentJob::State::refused) co_return std::string(unknown);
    if (job->state == AgentJob::State::ended) co_return std::string(job->word());
    job->cancel_wanted = true;
    // The note is for a supervisor that has not started the script yet: it looks for it after it has written
    // started.json, and takes signals before that.
    std::function<Result<bool>()> work = [directory = store_.at(key)]() -> Result<bool> {
        const auto noted = directory.want_cancel();
        if (directory.start()) return true;
        if (!noted) return noted.error();
        return directory.start().has_value();
    };
    const auto started = co_await offload<bool>(runtime_.pool(), file_timeout, std::move(work));
    if (!started) log_problem(started.error().text());  // the next one may have more luck
    if (started && *started) job->process.cancel();
    co_return std::string(job->state == AgentJob::State::ended ? job->word() : "cancelling");
}

asio::awaitable<void> AgentJobs::wait_change(JobPtr job, milliseconds time) {
    asio::steady_timer timer(runtime_.io(), time);
    const WakenByJob waken(*job, timer);
    std::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<void> AgentJobs::pause(milliseconds time) {
    asio::steady_timer timer(runtime_.io(), time);
    std::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<void> AgentJobs::purge() {
    const std::int64_t cutoff = now_seconds() - job_lifetime;
    std::vector<JobKey> old;
    for (const auto& [key, job] : jobs_) {
        if (job->state == AgentJob::State::ended && job->ended <= cutoff) old.push_back(key);
    }
    for (const auto& key : old) jobs_.erase(key);
    std::function<Result<bool>()> work = [store = store_, old]() -> Result<bool> {
        for (const auto& key : old) TRY_DO(store.remove(key));
        return true;
    };
    const auto purged = co_await offload<bool>(runtime_.pool(), adopt_time, std::move(work));
    if (!purged) log_problem(purged.error().text());
}

asio::awaitable<void> AgentJobs::purge_hourly() {
    for (;;) {
        co_await pause(purge_interval);
        co_await purge();
    }
}

}  // namespace ctrlexec
