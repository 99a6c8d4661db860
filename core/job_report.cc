#include "core/job_report.h"

#include <fmt/format.h>

#include "core/output_fields.h"
#include "core/ring_file.h"

namespace ctrlexec {
namespace {

// A job that was never started has no output, and is no error of its own.
void set_stream(json::Value& report, const std::string& name, const std::string& path) {
    const auto file = RingReader::open(path);
    auto kept = file ? file->kept() : Result<RingReader::Kept>(file.error());
    if (!kept) {
        report.set(name, "");
        const bool missing = kept.error().code == Errc::not_found;
        if (!missing && report.text("error").empty()) report.set("error", kept.error().message);
        return;
    }
    set_output(report, name, std::move(kept->text));
    if (!kept->truncated) return;
    report.set(name + "_truncated", true);
    report.set(name + "_bytes", kept->total);
}

std::uint64_t bytes_in(const std::string& path) {
    const auto file = RingReader::open(path);
    const auto total = file ? file->total() : Result<std::uint64_t>(file.error());
    return total ? *total : 0;
}

}  // namespace

const char* job_state(const JobResult& result) {
    return result.lost ? "lost" : "done";
}

json::Value job_state_report(const char* state, const JobKey& key) {
    return json::Object{{"status", "ok"}, {"state", state}, {"reqid", key.reqid}};
}

json::Value job_result_report(const JobDirectory& job, const JobKey& key, const JobResult& result) {
    const auto record = job.record();
    json::Value report(
        json::Object{{"script", record ? record->script : std::string()}, {"exit", result.exit}});
    if (!result.error.empty()) report.set("error", result.error);
    set_stream(report, "stdout", job.output_path());
    set_stream(report, "stderr", job.error_path());
    if (result.signal != 0) report.set("signal", result.signal);
    if (result.timed_out) report.set("timed_out", true);
    if (result.cancelled) report.set("cancelled", true);
    if (result.lost) report.set("lost", true);
    report.set("started", result.started);
    report.set("ended", result.ended);
    report.set("reqid", key.reqid);
    return report;
}

json::Value job_end_report(const JobDirectory& job, const JobKey& key, const JobResult& result) {
    json::Value report = job_state_report(job_state(result), key);
    report.set("result", job_result_report(job, key, result));
    return report;
}

json::Value job_running_report(const JobDirectory& job, const JobKey& key) {
    json::Value report = job_state_report("running", key);
    const auto record = job.record();
    const auto start = job.start();
    report.set("script", record ? record->script : std::string());
    if (start) report.set("started", start->started);
    report.set("stdout_bytes", bytes_in(job.output_path()));
    report.set("stderr_bytes", bytes_in(job.error_path()));
    return report;
}

}  // namespace ctrlexec
