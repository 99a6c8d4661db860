// Runs that go on without us: runs/submitted/<reqid>.json says where, and what has come back of them. Written
// before the first agent is asked, so that no run is ever under way that nobody remembers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/host_result.h"
#include "core/json.h"
#include "core/result.h"
#include "core/run_store.h"
#include "core/target.h"

namespace ctrlexec {

struct SubmittedHost {
    enum class State : std::uint8_t {
        asked,     // perhaps: the agent has not said that it accepted the run
        accepted,  // the agent has said so
        done,      // `result` is there
    };

    Target target;
    State state = State::asked;
    RunResult result;
};

struct SubmittedRun {
    std::string reqid;
    std::string script;
    std::string username;
    std::int64_t submitted = 0;  // epoch seconds
    std::vector<SubmittedHost> hosts;
    bool submitting = false;  // somebody is asking the agents to take it; not in the file

    bool done() const;
    bool is_done(std::size_t host) const { return hosts[host].state == SubmittedHost::State::done; }
    std::vector<std::string> host_names() const;
    std::vector<std::string> pending() const;  // names
    json::Array results() const;               // RunResult::to_json() of those that are there

    // What `other` knows more than this: a state never goes back, and a first result stays.
    void merge(const SubmittedRun& other);

    // With "ok" in front, as StoredRun::to_answer has it.
    json::Value to_answer(json::Value ok) const;
    StoredRun to_stored(std::int64_t completed) const;
    static Result<SubmittedRun> from_json(const json::Value& value);
    json::Value to_json() const;
};

// Several processes may know more about one run at the same time; a lock makes them add up.
class SubmittedRuns {
  public:
    // Seconds after which a run that never completes is forgotten: longer than any run may last.
    static constexpr std::int64_t kept = 32 * 86400;

    explicit SubmittedRuns(const std::string& runs_directory)
        : store_(runs_directory), directory_(runs_directory + "/submitted") {}

    // Keep what it returns until the agents have been asked and update() has their answers: as long, a run
    // that an agent does not know may still come to it.
    Result<FileLock> create(const SubmittedRun& run) const;

    // Errc::not_found when none of that id is under way; RunStore has those that have completed.
    Result<SubmittedRun> find(std::string_view reqid) const;

    // Adds what `run` knows to what is stored, and returns the sum. A run that is done becomes a StoredRun,
    // and is one for every later caller.
    Result<SubmittedRun> update(const SubmittedRun& run, std::int64_t now) const;

    Result<void> purge(std::int64_t now) const;

  private:
    std::string path_of(std::string_view reqid, std::string_view suffix = ".json") const;
    Result<SubmittedRun> completed(const SubmittedRun& run) const;
    RunStore store_;
    std::string directory_;
};

}  // namespace ctrlexec
