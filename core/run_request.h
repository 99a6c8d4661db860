// The body of POST /run.
#pragma once

#include <chrono>
#include <optional>
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
    std::optional<std::chrono::milliseconds>
        timeout;          // after which the agent ends the script; not in to_json()
    std::string problem;  // why the arguments cannot be used, "" when they can

    // Numbers, booleans and null among the arguments become text as Perl would print them. Errc::bad_request
    // "invalid JSON" for anything but an object; wrong arguments are told by `problem`, since script and
    // reqid are then known and belong into the answer.
    static Result<RunRequest> parse(std::string_view body);
    static Result<RunRequest> from_json(const json::Value& value);
    json::Value to_value() const;
    std::string to_json() const { return json::dump(to_value()); }

    // What the script finds on its stdin.
    std::string script_input(const std::string& peer_ip, std::int64_t now) const;

  private:
    void take_arguments(const json::Value& value);
};

}  // namespace ctrlexec
