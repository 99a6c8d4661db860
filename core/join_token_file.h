// The join token of a container fleet: a file that the dispatcher's container keeps, and the agents' read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/dispatcher_config.h"
#include "core/first_config.h"
#include "core/join_tokens.h"
#include "core/result.h"

namespace ctrlexec {

struct JoinTokenFile {
    std::string path;  // JOIN_TOKEN_FILE
    JoinTerms terms;   // JOIN_TOKEN_TTL, _USES, _HOSTS, _FROM, _REPLACE: of a token that is made

    // Nothing when there is to be none. Errc::config names the variable that cannot be used.
    static Result<std::optional<JoinTokenFile>> from(const Variables& variables);

    // Makes a token when the file is missing, or holds one that this dispatcher takes from nobody any more.
    // What was done and why, in words; "" when the file is good as it is. Errc::config for a file that holds
    // something else, which is never overwritten, or cannot be read or written.
    Result<std::string> keep(const DispatcherConfig& config, std::int64_t now) const;

    // For a dispatcher that runs on: the next token is made when a tenth of the time or of the uses is left
    // of the one in the file, which is good until its end. Nothing is done about one that was revoked or
    // taken away, or that is not ours: that was somebody's decision, until the next start. True when one was
    // made.
    Result<bool> renew(const DispatcherConfig& config, std::int64_t now) const;

  private:
    Result<std::optional<JoinToken>> read() const;
    Result<JoinToken> replace(const DispatcherConfig& config, std::int64_t now) const;
};

}  // namespace ctrlexec
