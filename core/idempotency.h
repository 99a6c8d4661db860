// Idempotency-Key: which run a key has started, so that a repeated request starts no second one
// (draft-ietf-httpapi-idempotency-key-header). One file a key, <name>.json.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/result.h"

namespace ctrlexec {

struct IdempotencyRecord {
    std::string reqid;         // of the run
    std::string fingerprint;   // of what was asked: the same key with another request is a client's mistake
    std::int64_t started = 0;  // epoch seconds

    static Result<IdempotencyRecord> from_json(const json::Value& value);
    json::Value to_json() const;
};

class IdempotencyStore {
  public:
    static constexpr std::int64_t kept = 86400;  // seconds from `started`

    explicit IdempotencyStore(std::string directory) : directory_(std::move(directory)) {}

    // The file name for a key. A key belongs to its caller: another one's equal key is another name, and
    // neither key nor token can be read off the name.
    static std::string name_of(std::string_view token, std::string_view username, std::string_view key);

    // Errc::not_found when there is none, or only one that is older than `kept`.
    Result<IdempotencyRecord> find(const std::string& name, std::int64_t now) const;

    // Before the run begins. Errc::exists when the key has started a run already, in whatever process.
    Result<void> claim(const std::string& name, const IdempotencyRecord& record) const;

    // Removes what is older than `kept`.
    Result<void> purge(std::int64_t now) const;

  private:
    std::string path_of(const std::string& name) const;
    std::string directory_;
};

}  // namespace ctrlexec
