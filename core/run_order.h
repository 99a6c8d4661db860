// The body of POST /runs, which is between peers of ours: a run, and how its caller wants it carried out.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/result.h"
#include "core/run_request.h"

namespace ctrlexec {

struct RunOrder {
    enum class Mode : std::uint8_t {
        wait,    // the answer is the result
        follow,  // the answer is the output as it comes, and then the result
        detach,  // the answer is that it has been accepted; the result is asked for later
    };

    RunRequest request;  // its `problem` tells what is wrong with the other members, too
    Mode mode = Mode::wait;
    std::chrono::milliseconds timeout{0};  // for the script; 0: no more than the agent's own

    // As RunRequest::parse.
    static Result<RunOrder> parse(std::string_view body);
    json::Value to_json() const;
};

}  // namespace ctrlexec
