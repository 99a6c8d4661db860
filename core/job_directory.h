// The files of one job, as the agent and the job's supervisor share them:
//
//     job.json       what was asked for; there from the start
//     lock           held by the supervisor for as long as it lives
//     cancel         the agent was asked to end it
//     started.json   the supervisor's identity; before the script starts
//     script.json    the identity of the script's process, for those who have to end what is left of it
//     stdout, stderr see core/ring_file
//     result.json    the outcome; written with the lock held, and never twice
//     logged         the agent has told of the outcome
//
// A job without result.json whose lock is free is lost. Everything is hostile: a volume may hold anything.
#pragma once

#include <string>

#include "core/file.h"
#include "core/job_record.h"
#include "core/process_identity.h"
#include "core/result.h"

namespace ctrlexec {

class JobDirectory {
  public:
    explicit JobDirectory(std::string path) : path_(std::move(path)) {}

    const std::string& path() const { return path_; }
    std::string output_path() const { return path_ + "/stdout"; }
    std::string error_path() const { return path_ + "/stderr"; }

    // What a new job has: job.json, lock, and the place for its outcome, so that a disk that is full later
    // cannot keep it from being written. Everything is durable then but the directory's own name.
    Result<void> fill(const JobRecord& record) const;

    Result<JobRecord> record() const;

    Result<FileLock> lock() const;  // Errc::locked while the supervisor lives
    Result<bool> is_locked() const;

    Result<void> want_cancel() const;
    bool cancel_wanted() const;

    Result<void> write_start(const JobStart& start) const;  // durable; Errc::exists when there was one
    Result<JobStart> start() const;                         // Errc::not_found before

    Result<void> note_script(const ProcessIdentity& script) const;
    Result<ProcessIdentity> script() const;

    // Durable. Call with the lock held, when result() is Errc::not_found.
    Result<void> write_result(const JobResult& result) const;
    Result<JobResult> result() const;  // Errc::not_found: there is none yet; anything else: it cannot be read

    // True the first time.
    bool claim_logging() const;

  private:
    std::string file(const char* name) const { return path_ + "/" + name; }
    std::string path_;
};

}  // namespace ctrlexec
