// The policy file of the HTTP API: which token may do what, where. One grant a line:
//
//     sha256:HEX ACTIONS SCRIPTS HOSTS [NAME]
//
// The file holds hashes of tokens only, so that reading it gives nobody a token.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/auth_request.h"
#include "core/result.h"

namespace ctrlexec {

inline constexpr std::size_t max_policy_bytes = 1u << 20;
inline constexpr std::size_t max_policy_line = 8192;  // bytes
inline constexpr std::size_t max_policy_grants = 4096;
inline constexpr std::size_t max_token = 4096;  // bytes; a longer one is unknown

using Tags = std::vector<std::pair<std::string, std::string>>;  // of one host: key, value

enum class PolicyAction : unsigned { api = 1, run = 2, ping = 4, status = 8, metrics = 16 };

struct PolicyGrant {
    std::string digest;                // SHA-256 of the token, 32 bytes
    unsigned actions = 0;              // PolicyAction, added up; api always
    std::vector<std::string> scripts;  // globs
    std::vector<std::string> hosts;    // globs of names
    Tags tags;                         // key, glob of the value: one that matches is enough
    std::string name;                  // for the log; may be ""

    bool permits(PolicyAction action) const { return (actions & static_cast<unsigned>(action)) != 0; }
};

class AuthPolicy {
  public:
    // Errc::config with "PATH:LINE: what; remedy" for the first line that is wrong.
    static Result<AuthPolicy> parse(const std::string& path, std::string_view text);
    // The same of a file. It is also refused when anybody but its owner may write to it.
    static Result<AuthPolicy> load(const std::string& path);

    // Whether a grant names the token. In constant time: see judge().
    bool knows(std::string_view token) const { return !grants_of(token).empty(); }

    enum class Verdict { unknown_token, not_permitted, permitted };

    // The question's action is "api", "ping", "run", "status" or "metrics"; any other is permitted to nobody.
    // Each host must be covered, together with the script if there is one, by a single grant of the token;
    // different hosts may be covered by different ones. `tags`: of each host, in the order of
    // question.hosts; empty when none are known. Results of runs ("status") are also for whoever may run
    // them. Takes the same time for every token that is unknown.
    Verdict judge(const AuthRequest& question, const std::vector<Tags>& tags) const;

    // Indexes of the hosts whose tags decide. Empty when they would change nothing.
    std::vector<std::size_t> undecided(const AuthRequest& question) const;

    // The name of the token's first grant that has one, for the log.
    std::string name_of(std::string_view token) const;

    const std::vector<PolicyGrant>& grants() const { return grants_; }

  private:
    std::vector<const PolicyGrant*> grants_of(std::string_view token) const;
    std::vector<PolicyGrant> grants_;
};

// A new secret: "ce_" and 43 characters of base64url (RFC 4648, section 5), 256 random bits.
std::string new_token();

// The line of the file that grants it. Errc::config when one of the fields cannot be read back.
Result<std::string> policy_line(std::string_view token, std::string_view actions, std::string_view scripts,
                                std::string_view hosts, std::string_view name);

// Adds the line to the file, which is made (0600) when it does not exist. Nothing changes when the file as it
// would then be is not valid. Several processes may do so at the same time.
Result<void> append_to_policy(const std::string& path, const std::string& line);

}  // namespace ctrlexec
