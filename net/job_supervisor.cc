#include "net/job_supervisor.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <asio/signal_set.hpp>
#include <cerrno>
#include <csignal>
#include <memory>
#include <optional>

#include "core/fault_point.h"
#include "core/job_directory.h"
#include "core/job_spec.h"
#include "core/log.h"
#include "core/ring_file.h"
#include "core/timestamp.h"
#include "net/child.h"
#include "net/child_run.h"
#include "net/runtime.h"

namespace ctrlexec {
namespace {

constexpr int killed = 126;
constexpr int could_not_execute = 127;
constexpr int write_tries = 120;  // of a result, one each second

// Until its end: the agent closes the pipe when it has handed over everything, or dies.
std::string read_stdin() {
    std::string text;
    char buffer[16384];
    while (text.size() <= max_job_spec) {
        const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        text.append(buffer, static_cast<std::size_t>(n));
    }
    return text;
}

// What reading the specification took is not needed again, and there may be a thousand of us.
void give_back_memory() {
#ifdef __GLIBC__
    ::malloc_trim(0);
#endif
}

class Supervisor {
  public:
    explicit Supervisor(std::string directory)
        : signals_(runtime_.io(), SIGUSR1, SIGTERM), job_(std::move(directory)) {}

    int run();

  private:
    void prepare_and_execute();
    void execute(JobSpec spec);
    asio::awaitable<int> attend(JobSpec spec);
    asio::awaitable<void> watch_signals();
    void note_start(std::shared_ptr<ChildRun> run);
    void store(OutputStream stream, std::string_view bytes);
    void conclude(const Result<ChildOutcome>& outcome);
    void cancelled_before_start();
    void never_started(const std::string& why);
    void end(const JobResult& result) const;

    Runtime runtime_;
    asio::signal_set signals_;  // first of all: from started.json on the agent sends signals
    JobDirectory job_;
    std::int64_t started_ = 0;
    std::optional<RingWriter> output_;
    std::optional<RingWriter> error_;
    std::shared_ptr<ChildRun> child_;
    std::string warning_;
    bool cancelled_ = false;
    bool going_down_ = false;
};

int Supervisor::run() {
    const auto lock = job_.lock();
    if (!lock) {
        log_event(LogLevel::error, "job-fail", {{"JOB", job_.path()}, {"REASON", lock.error().text()}});
        return 1;
    }
    prepare_and_execute();
    return 0;
}

void Supervisor::prepare_and_execute() {
    auto spec = JobSpec::parse(read_stdin());
    // Whoever found the lock free before us has declared the job lost.
    const auto result = job_.result();
    if (result || result.error().code != Errc::not_found) return;
    if (!spec) return never_started("the agent ended while it handed the job over");
    auto self = ProcessIdentity::of(::getpid());
    if (!self) return never_started(self.error().message);
    started_ = now_seconds();
    const auto recorded = job_.write_start(JobStart{*self, started_});
    if (!recorded && recorded.error().code == Errc::exists) return;
    fault_point("job-started");
    if (!recorded) return never_started(recorded.error().message);
    // The agent has left this note when it could not send a signal yet.
    if (job_.cancel_wanted()) return cancelled_before_start();
    auto output = RingWriter::create(job_.output_path(), spec->output_limit);
    if (!output) return never_started(output.error().message);
    auto error = RingWriter::create(job_.error_path(), spec->output_limit);
    if (!error) return never_started(error.error().message);
    output_ = std::move(*output);
    error_ = std::move(*error);
    execute(std::move(*spec));
}

void Supervisor::execute(JobSpec spec) {
    runtime_.spawn(watch_signals());
    std::function<asio::awaitable<int>()> main = [this, &spec] { return attend(std::move(spec)); };
    runtime_.run(std::move(main));
}

asio::awaitable<int> Supervisor::attend(JobSpec spec) {
    ChildLimits limits;
    limits.input_timeout = spec.input_timeout;
    limits.run_timeout = spec.run_timeout;
    limits.kill_grace = spec.kill_grace;
    limits.output_limit = 0;  // it is in the files
    ChildEvents events;
    events.on_start = [this](std::shared_ptr<ChildRun> run) { note_start(std::move(run)); };
    events.on_output = [this](OutputStream stream, std::string_view bytes) { store(stream, bytes); };
    SpawnPlan plan = std::move(spec.plan);
    std::string input = std::move(spec.input);
    const auto outcome =
        co_await run_child(std::move(plan), std::move(input), limits, nullptr, std::move(events));
    conclude(outcome);
    co_return 0;
}

asio::awaitable<void> Supervisor::watch_signals() {
    for (;;) {
        std::error_code error;
        const int number = co_await signals_.async_wait(asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        if (number == SIGTERM) going_down_ = true;
        cancelled_ = true;
        if (child_) child_->cancel();
    }
}

void Supervisor::note_start(std::shared_ptr<ChildRun> run) {
    child_ = std::move(run);
    if (const auto script = ProcessIdentity::of(child_->pid())) (void)job_.note_script(*script);
    if (cancelled_) child_->cancel();
    fault_point("job-running");
    give_back_memory();
}

void Supervisor::store(OutputStream stream, std::string_view bytes) {
    auto& file = stream == OutputStream::output ? output_ : error_;
    if (const auto stored = file->add(bytes); !stored) {
        warning_ = stored.error().text() + "; the rest of the output is left out";
    }
}

void Supervisor::conclude(const Result<ChildOutcome>& outcome) {
    JobResult result;
    result.started = started_;
    result.ended = now_seconds();
    if (!outcome) {
        result.exit = could_not_execute;
        store(OutputStream::error, outcome.error().message);
        return end(result);
    }
    if (outcome->input_timed_out && warning_.empty())
        warning_ = "it did not read its input before stdin_timeout was over";
    result.warning = warning_;
    result.timed_out = outcome->timed_out;
    result.cancelled = outcome->cancelled;
    const bool ended_by_us = result.timed_out || result.cancelled;
    result.signal = outcome->signal != 0 || !ended_by_us ? outcome->signal : SIGTERM;
    result.exit = result.signal != 0 ? killed : outcome->exit_status;
    if (result.cancelled && going_down_) result.error = "it was ended because the host goes down";
    end(result);
}

void Supervisor::cancelled_before_start() {
    JobResult result;
    result.exit = killed;
    result.cancelled = true;
    result.error = "it was cancelled before it started";
    result.ended = now_seconds();
    end(result);
}

void Supervisor::never_started(const std::string& why) {
    end(JobResult::lost_because("it was never started: " + why, 0, now_seconds()));
}

// With the lock held until it is written: whoever finds the lock free without a result declares the job lost.
void Supervisor::end(const JobResult& result) const {
    fault_point("job-ended");
    for (int i = 0; i < write_tries; ++i) {
        const auto written = job_.write_result(result);
        if (written) return;
        if (i == 0) {
            log_event(LogLevel::error, "job-fail",
                      {{"JOB", job_.path()}, {"REASON", written.error().text() + "; trying again"}});
        }
        ::sleep(1);
    }
}

}  // namespace

int supervise_job(const std::string& directory) {
    ::prctl(PR_SET_NAME, job_supervisor_name);
    open_log(job_supervisor_name, LogFallback::discard);
    return Supervisor(directory).run();
}

}  // namespace ctrlexec
