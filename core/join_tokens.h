// The join tokens that this dispatcher has given out: STATE/join-tokens/KID/token.json, which holds what the
// token's secret comes to and its terms, never the token; and KID/DIGEST.json for each certificate request
// that was signed on its word (core/join_redemption), named by the SHA-256 of its DER.
//
// The registry's lock is held around every change here, too: a redemption changes both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/auth_policy.h"
#include "core/dispatcher_config.h"
#include "core/join_token.h"
#include "core/json.h"
#include "core/result.h"

namespace ctrlexec {

inline constexpr int max_join_uses = 100'000;
inline constexpr std::int64_t min_join_ttl = 60;  // seconds
inline constexpr std::int64_t max_join_ttl = 365 * 86400;

// What a token is good for.
struct JoinTerms {
    std::int64_t ttl = 3600;  // seconds
    int uses = 1;
    std::string hosts;  // glob of the agent's name; "": any
    std::string from;   // addresses and prefixes, see core/address_list; "": any
    Tags tags;          // given to the agents
    bool replace = false;
};

struct JoinTokenRecord {
    std::string kid;
    std::string key;  // 32 bytes, as secret as the token
    JoinTerms terms;
    std::int64_t created = 0;  // seconds since the epoch, as the others
    std::int64_t expires = 0;
    std::int64_t revoked = 0;  // 0: it is not
    int used = 0;              // counted by list(), not stored

    bool has_expired(std::int64_t now) const { return now >= expires; }
    bool is_usable(std::int64_t now) const { return revoked == 0 && !has_expired(now) && used < terms.uses; }
    std::string_view state(std::int64_t now) const;  // "usable", "revoked", "expired", "used up"

    static Result<JoinTokenRecord> from_json(const json::Value& value);
    json::Value to_json() const;  // secret
};

struct JoinTokenListing {
    std::vector<JoinTokenRecord> tokens;  // oldest first
    std::vector<std::string> problems;    // one sentence for each that could not be read
};

class JoinTokens {
  public:
    explicit JoinTokens(const DispatcherConfig& config);

    // Errc::usage for terms that make no sense, Errc::config without a CA. Drops what purge() would.
    Result<JoinToken> create(const JoinTerms& terms, std::int64_t now) const;
    Result<JoinTokenListing> list() const;
    Result<JoinTokenRecord> find(std::string_view kid) const;  // Errc::not_found; `used` is 0
    Result<int> used(std::string_view kid) const;
    // Kept as revoked until it would have expired, so that who still brings it is told. False: it was
    // already.
    Result<bool> revoke(std::string_view kid, std::int64_t now) const;

    // As if it had never been made: for one that could not be handed over.
    Result<void> discard(std::string_view kid) const;

    // How many could be used now.
    std::size_t usable(std::int64_t now) const;
    bool any_usable(std::int64_t now) const { return usable(now) > 0; }
    // Whether anybody may come with one: also soon after the last use, when an agent that has lost its answer
    // asks again.
    bool are_awaited(std::int64_t now) const;

    // Forgets the tokens that expired a day ago: until then a lost answer is given again.
    Result<void> purge(std::int64_t now) const;

    std::string directory(std::string_view kid) const;

  private:
    Result<std::vector<std::string>> kids() const;
    Result<void> purge_locked(std::int64_t now) const;
    Result<void> forget(const std::string& directory) const;
    std::string root_;
    std::string ca_file_;
    std::string agents_dir_;
};

}  // namespace ctrlexec
