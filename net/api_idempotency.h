// Idempotency-Key on POST /run: a repeat within a day gets the first answer, and starts nothing.
#pragma once

#include <asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/run_request.h"
#include "core/target.h"
#include "net/api_call.h"

namespace ctrlexec {

// "" without the header. Errc::bad_request for one that is empty, longer than 255 characters, not visible
// ASCII, or there twice.
Result<std::string> read_idempotency_key(const HttpMessage& request);

// Claims the key for the run that is about to begin; an answer means that it must not.
using ClaimKey = std::function<asio::awaitable<std::optional<HttpAnswer>>()>;

// Where it is answered from disk, `background` tells which answer it had. The first request with the key runs
// `first`, which must await the claim it is given just before it starts anything; others wait for its answer.
// With 409 when the key has started a run whose answer is not known (the API was killed meanwhile, or could
// not store it), 422 when the key was used for another request.
asio::awaitable<HttpAnswer> answer_once(std::shared_ptr<const ApiCall> call, std::string key,
                                        std::vector<Target> targets,
                                        std::shared_ptr<const RunRequest> request, bool background,
                                        std::function<asio::awaitable<HttpAnswer>(ClaimKey)> first);

}  // namespace ctrlexec
