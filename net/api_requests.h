// Reading what API clients send: everything is checked here, before a route acts on it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/run_request.h"
#include "core/target.h"
#include "net/api_call.h"

namespace ctrlexec {

// Takes the request apart: path, JSON body, user, token. Never fails: what is missing is for the route to
// refuse, after the auth check.
std::shared_ptr<const ApiCall> read_api_call(std::shared_ptr<const ApiSnapshot> snapshot,
                                             std::shared_ptr<ApiState> state, std::string source_ip,
                                             HttpMessage request);

// JSON, or one of the types that command-line clients send by default, and not compressed.
bool is_acceptable_content(const HttpMessage& request);

// The errors are Errc::bad_request with the message that the client gets.
Result<const json::Value*> required_body(const ApiCall& call);
// `required`: a missing "hosts" is an error; else the result is then empty.
Result<std::vector<Target>> read_hosts(const json::Value* body, bool required);
Result<bool> read_async(const json::Value& body);
Result<RunRequest> read_run(const ApiCall& call, const json::Value& body);

}  // namespace ctrlexec
