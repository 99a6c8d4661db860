// Finished runs, kept for a day so that their results can be asked for again: runs/<reqid>.json.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/host_result.h"
#include "core/json.h"
#include "core/result.h"

namespace ctrlexec {

struct StoredRun {
    std::string reqid;
    std::string script;
    std::vector<std::string> hosts;  // as they were asked for
    json::Array results;             // RunResult::to_json() of each; those of the old program too
    std::int64_t completed = 0;      // epoch seconds

    static Result<StoredRun> from_json(const json::Value& value);
    json::Value to_json() const;
    json::Value to_answer(json::Value ok) const;  // to_json() with "ok" in front, and that it is done
    json::Value to_run_answer() const;            // what POST /run answers
};

class RunStore {
  public:
    static constexpr std::int64_t kept = 86400;  // seconds

    explicit RunStore(std::string directory) : directory_(std::move(directory)) {}

    // What find() says of an id that nobody has.
    static Error unknown(std::string_view reqid);

    // Errc::not_found when there is none of that id.
    Result<StoredRun> find(std::string_view reqid) const;

    // Writes it, with mode 0640.
    Result<void> save(const StoredRun& run) const;

    // Removes what was written more than `kept` seconds ago.
    Result<void> purge(std::int64_t now) const;

  private:
    std::string directory_;
};

}  // namespace ctrlexec
