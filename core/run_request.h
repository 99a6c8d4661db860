// The body of POST /run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/result.h"

namespace ctrlexec {

struct RunRequest {
    std::string script;
    std::vector<std::string> arguments;
    std::string reqid;
    std::string username;
    std::string token;  // secret: never logged

    // Numbers, booleans and null among the arguments become text as Perl would print them. Errc::bad_request
    // with the baseline's words: "invalid JSON", "args must be an array".
    static Result<RunRequest> parse(std::string_view body);
    std::string to_json() const;

    // What the script finds on its stdin.
    std::string script_input(const std::string& peer_ip, std::int64_t now) const;
};

}  // namespace ctrlexec
