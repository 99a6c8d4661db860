// Runs in the background over the HTTP API: POST /run with "async", GET /status/{reqid}, POST
// /cancel/{reqid}.
#pragma once

#include <asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "core/run_request.h"
#include "core/target.h"
#include "net/api_call.h"
#include "net/async_runs.h"

namespace ctrlexec {

std::shared_ptr<const AsyncRuns> async_runs(const ApiCall& call);

// A run that is permitted and locked: 202 when it has been handed to the agents.
asio::awaitable<HttpAnswer> submit_run(std::shared_ptr<const ApiCall> call, std::vector<Target> targets,
                                       std::shared_ptr<const RunRequest> request);

// The 202 of a run that has been submitted before; Errc::not_found when nothing of it is stored.
Result<HttpAnswer> submitted_answer(const DispatcherConfig& config, const std::string& reqid);

// Counts a result that has been brought in.
void count_async_result(ApiState& state, const RunResult& result);

// The route's parameter; "" for another path.
std::string reqid_in(std::string_view path);

asio::awaitable<HttpAnswer> api_status(std::shared_ptr<const ApiCall> call);
asio::awaitable<HttpAnswer> api_cancel(std::shared_ptr<const ApiCall> call);

}  // namespace ctrlexec
